"""What is wrong with an envelope."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class MalformedEnvelope(SyncError):
    """Bytes that are no envelope, or one that contradicts itself."""

    code = "malformed_envelope"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This is not a whole batch: {what}. Nothing was stored. Send the stored batch again; if it comes back "
            "refused, run `manage.py verify_chain` on the device and show its answer to the operator."
        )


class EnvelopeTooLarge(SyncError):
    """A named limit is exceeded."""

    code = "envelope_too_large"

    def __init__(self, *, what: str, size: int, size_max: int, setting: str) -> None:
        self.what, self.size, self.size_max, self.setting = what, size, size_max, setting
        super().__init__(
            f"The batch's {what} of {size} is over the limit of {size_max}. Nothing was stored. "
            f"Ask the server's operator to raise {setting}, or send smaller units."
        )


class BadSignature(SyncError):
    """The signature does not fit the device's key."""

    code = "bad_signature"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"The signature on this batch is not that of device '{device}'. Nothing was stored. "
            "If the device was enrolled again, its older batches stay with its older key; else ask the operator."
        )


class ErasedLineUnproven(SyncError):
    """A line was replaced by its hash and no signed order for it is known here."""

    code = "erased_line_unproven"

    def __init__(self, *, line: int) -> None:
        super().__init__(
            f"Line {line} of the batch was erased and no signed order for it is known here. Nothing was stored. "
            "Bring the erasure order first, or send the batch as the device sealed it."
        )
