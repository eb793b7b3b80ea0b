"""What accepting a batch refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class DeviceUnknown(SyncError):
    """No device of that name is enrolled here."""

    code = "device_unknown"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' is not enrolled on this server. Run `add_device {device}` here and `enrol` there."
        )


class KeyUnknown(SyncError):
    """The batch is signed with a key that this device never enrolled."""

    code = "key_unknown"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"The batch of device '{device}' is signed with a key that is not enrolled here. "
            "Enrol the device again with a new code."
        )


class DeviceRevoked(SyncError):
    """The device or its key was revoked before this batch."""

    code = "device_revoked"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' has been revoked, and this comes after the cut-off. "
            "Ask the server's operator; nothing is lost on the device."
        )


class WrongDevice(SyncError):
    """A device hands over another's batch."""

    code = "wrong_device"

    def __init__(self, *, device: str, handed_over_by: str) -> None:
        super().__init__(
            f"'{handed_over_by}' handed over a batch of device '{device}'. A device pushes only its own "
            "batches; carry others' with a device of role relay."
        )


class BatchFork(SyncError):
    """Another batch already has this place in the chain: a cloned or restored device."""

    code = "batch_fork"

    def __init__(self, *, device: str, number: int, kept: bool) -> None:
        self.number = number
        copy = "A copy is kept and" if kept else "It is not kept (too many copies already), but"
        super().__init__(
            f"Batch {number} of device '{device}' does not continue what this server holds: the device was "
            f"cloned, or restored from an older copy. {copy} the operator is warned. Run `add_device {device}` "
            "on the server and `enrol` on the device: that begins a new epoch, and a baseline tells what the "
            "device holds now."
        )


class DeviceRestored(SyncError):
    """The server holds more of this device than the device itself knows."""

    code = "device_restored"

    def __init__(self, *, device: str, held: int, own: int) -> None:
        super().__init__(
            f"The server holds batches up to {held} of device '{device}', and this database knows only {own}: it was "
            "cloned, or restored from an older copy. Nothing was sent and nothing is lost. If another copy is in use, "
            "go on there. Otherwise ask the operator to run "
            f"`add_device {device}` on the server, then run `enrol`, `baseline` and `push_transactions` here; "
            f"`device_differences {device}` on the server then tells what this copy lacks."
        )


class EpochClosed(SyncError):
    """A later epoch of this device has begun."""

    code = "epoch_closed"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"This batch belongs to an earlier epoch of device '{device}', which a newer one has "
            "replaced. If an old copy of the device is still in use, take it out of use, or enrol it under "
            "another name."
        )


class EpochUnknown(SyncError):
    """A batch begins or continues an epoch that does not fit what is known here."""

    code = "epoch_unknown"

    def __init__(self, *, device: str, what: str, remedy: str = "Enrol the device again.") -> None:
        super().__init__(f"The epoch of device '{device}' does not fit: {what}. {remedy}")


class EarlyLimit(SyncError):
    """Too many batches wait behind a gap."""

    code = "early_limit"

    def __init__(self, *, device: str, expected: int, limit: str) -> None:
        self.expected = expected
        super().__init__(
            f"Too much of device '{device}' already waits behind a gap ({limit}). Send batch {expected} first."
        )


class SequenceMismatch(SyncError):
    """The header's count of earlier lines or time does not fit the chain's."""

    code = "sequence_mismatch"

    def __init__(self, *, device: str, field: str) -> None:
        super().__init__(
            f"The batch of device '{device}' does not continue the one before it: {field} differs. "
            "Enrol the device again: that begins a new epoch."
        )
