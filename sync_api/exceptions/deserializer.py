"""What consuming and mending refuse."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class DeviceNotRegistered(SyncError):
    """No device of that name is registered in the database."""

    code = "device_not_registered"

    def __init__(self, *, device: str, alias: str) -> None:
        self.device = device
        super().__init__(
            f"No device '{device}' is registered in database '{alias}'. Register it with add_device, or see its name "
            "in the admin."
        )


class ParkedUnitUnknown(SyncError):
    """No open parked unit has that number."""

    code = "parked_unit_unknown"

    def __init__(self, *, unit_id: int, alias: str) -> None:
        super().__init__(f"No unit {unit_id} is parked in database '{alias}'. See the numbers with `parked list`.")


class ReasonMissing(SyncError):
    """A parked unit may be ignored only with a reason."""

    code = "reason_missing"

    def __init__(self, *, unit_id: int) -> None:
        super().__init__(f"Ignoring unit {unit_id} needs a reason. Give it with --reason 'why it is left out'.")
