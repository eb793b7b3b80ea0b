"""What enrolment refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class CodeMistyped(SyncError):
    """The code's check word does not fit: a typing error, found before the server is asked."""

    code = "code_mistyped"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The enrolment code was mistyped: {what}. Read it again, word by word.")


class CodeRefused(SyncError):
    """No valid code: unknown, used, or expired."""

    code = "code_refused"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"The enrolment code {what}. Ask the server's operator for a new one: `add_device NAME` prints it."
        )


class ProofInvalid(SyncError):
    """The enrolment request is not signed with the key it brings."""

    code = "proof_invalid"

    def __init__(self) -> None:
        super().__init__("The enrolment request is not signed with the key it brings. Run `enrol` again on the device.")


class KeyTaken(SyncError):
    """The key belongs to another device, or was revoked."""

    code = "key_taken"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The device's key {what}. Run `enrol` again with --new-key: that makes a new one.")


class DeviceNameInvalid(SyncError):
    """Not a name a device can have."""

    code = "device_name_invalid"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"'{name[:80]}' cannot be a device's name. Use 1 to 64 letters, digits, dots, hyphens or underscores; "
            "begin with a letter or digit."
        )


class DeviceNameDiffers(SyncError):
    """The code is for another device than this installation is set up as."""

    code = "device_name_differs"

    def __init__(self, *, enrolled: str, configured: str) -> None:
        super().__init__(
            f"The code is for device '{enrolled}', but this installation captures as '{configured}'. "
            f"Set SYNC_DEVICE={enrolled} (or the device in SYNC_DATABASES) there, and run `enrol` again with the "
            "same code."
        )


class ServerKeyElsewhere(SyncError):
    """The key of that name in this process's key folder is not the one the server signs with."""

    code = "server_key_elsewhere"

    def __init__(self, *, server: str) -> None:
        super().__init__(
            f"This machine does not have the key with which '{server}' signs, so it cannot write receipts in its name. "
            "Nothing was copied. Run `copy_transactions` on the server's machine or with its SYNC_KEY_DIR, or use "
            "`push_transactions`."
        )
