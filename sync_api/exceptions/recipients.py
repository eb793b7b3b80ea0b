"""What can be wrong with recipients and their keys."""

from __future__ import annotations

from collections.abc import Sequence

from sync_api.exceptions.base import SyncError


class RecipientKeyMissing(SyncError):
    """A model's payloads are to be sealed to someone whose key is not known here."""

    code = "recipient_key_missing"

    def __init__(self, *, model: str, recipient: str) -> None:
        super().__init__(
            f"The payloads of {model} are sealed to '{recipient}', of whom no key is known here. Nothing was sealed, "
            f"nothing is lost. Ask for the key that `recipients own` prints there, run "
            f"`recipients add {recipient} --key HEX` here, then push again."
        )


class SealedModelsInvalid(SyncError):
    """SYNC_SEALED_MODELS does not say what it must."""

    code = "sealed_models_invalid"

    def __init__(self, *, what: str) -> None:
        self.what = what
        super().__init__(
            f"SYNC_SEALED_MODELS is not valid: {what}. Nothing was sealed, nothing is lost. Write it as "
            '{"study.visit": ["server-1", "inspector-1"]}, with the labels of synced models (or "*") and the names '
            "of recipients, then push again."
        )


class MarkNotReadable(SyncError):
    """Chosen records of models that no recipient may all read: their mark could be sealed to nobody."""

    code = "mark_not_readable"

    def __init__(self, *, models: Sequence[str]) -> None:
        super().__init__(
            f"The records of {', '.join(models)} are sealed to different recipients, so nobody could read the mark "
            "that moves them off together. Move them off one model at a time, or give them a recipient in common in "
            "SYNC_SEALED_MODELS."
        )


class RecipientKeyInvalid(SyncError):
    """Not a key that payloads can be sealed to."""

    code = "recipient_key_invalid"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"This is not a key that payloads can be sealed to for '{name[:80]}'. Give the 64 hex digits that "
            "`recipients own` prints there, whole, and a name of 1 to 64 letters, digits, dots, hyphens or underscores."
        )


class RecipientKeyTaken(SyncError):
    """The key is known under another name."""

    code = "recipient_key_taken"

    def __init__(self, *, key_id: str, name: str) -> None:
        super().__init__(
            f"The key {key_id} belongs to '{name}' already. Ask again for the key: each recipient has its own."
        )


class RecipientKeyUnknown(SyncError):
    """No recipient's key has that id."""

    code = "recipient_key_unknown"

    def __init__(self, *, key_id: str) -> None:
        super().__init__(f"No recipient's key {key_id[:40]} is known here. See the key ids with `recipients list`.")


class RecipientKeyFileBroken(SyncError):
    """A private recipient key cannot be read from its file."""

    code = "recipient_key_file_broken"

    def __init__(self, *, file: str) -> None:
        super().__init__(
            f"The file {file} in the key folder is missing or damaged. Restore the key folder from its backup; "
            "if there is none, run `recipients rotate` and give the new key to those who seal to this installation."
        )


class RecipientsUnproven(SyncError):
    """A list of recipients' keys that is not signed by the server which the device is enrolled with."""

    code = "recipients_unproven"

    def __init__(self, *, server: str) -> None:
        super().__init__(
            f"The list of recipients' keys is not signed by server '{server}'. Nothing was changed here. "
            "Ask the server's operator; enrol again if the server has a new key."
        )
