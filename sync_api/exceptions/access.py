"""What is refused to people: registering devices, uploading, access keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync_api.exceptions.base import SyncError


class CredentialsRefused(SyncError):
    """No active user with this name and password."""

    code = "credentials_refused"

    def __init__(self) -> None:
        super().__init__("The user name or the password is wrong. Check both, or ask the server's operator.")


class TooManyTries(SyncError):
    """Passwords or access keys were guessed too often from one place."""

    code = "throttled"

    def __init__(self, *, seconds: int) -> None:
        self.wait = seconds
        super().__init__(f"Too many wrong tries came from this address. Wait {seconds} seconds and try again.")


class UploadDeviceUnknown(SyncError):
    """No device of that name is registered for uploads."""

    code = "device_not_registered"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"Unregistered device: '{device[:80]}'. Register it first (`register`, or POST devices/).")


class DeviceOfAnotherGroup(SyncError):
    """The name belongs to another group's device."""

    code = "device_of_another_group"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"The device name '{device[:80]}' belongs to another group. Give this device another name, or ask the "
            "server's operator to change the device's group."
        )


class DeviceTaken(SyncError):
    """An access key cannot take over a device that people registered."""

    code = "device_name_taken"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"A device named '{device[:80]}' is registered already. Give this one another name.")


class UploadDeviceRevoked(SyncError):
    """The device was revoked on the server."""

    code = "device_revoked"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"The device '{device[:80]}' has been revoked. Ask the server's operator.")


class NotPermitted(SyncError):
    """The user lacks a permission in the device's group."""

    code = "permission_denied"

    def __init__(self, *, user: str, what: str, permission: str) -> None:
        super().__init__(
            f"User '{user[:80]}' may not {what}. The server's operator gives the permission '{permission}' to the "
            "device's group and puts the user into it."
        )


class GroupUnclear(SyncError):
    """The user may register for several groups, or names one that is not theirs."""

    code = "group_unclear"

    def __init__(self, *, groups: Sequence[str]) -> None:
        super().__init__(f"It is not clear for which group the device is. Name one of: {', '.join(sorted(groups))}.")


class ClientTooOld(SyncError):
    """The client's version is older than the model's `min_client_version`."""

    code = "client_too_old"

    def __init__(self, *, table: str, version: str, wanted: str) -> None:
        super().__init__(
            f"Client version '{version[:40]}' is too old for table '{table}', which needs {wanted}. Upgrade the client."
        )


class AccessKeyMistyped(SyncError):
    """The access key's check word does not fit."""

    code = "code_mistyped"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The access key was mistyped: {what}. Read it again, word by word.")


class AccessKeyRefused(SyncError):
    """No valid access key: unknown, expired or ended. Which, is not said."""

    code = "access_key_refused"

    def __init__(self) -> None:
        super().__init__("The access key is not valid. Ask the study for a new one.")


class RootNotRegistered(SyncError):
    """Access keys are for records of models that a study registered as roots."""

    code = "root_not_registered"

    def __init__(self, *, model: str) -> None:
        super().__init__(
            f"Records of '{model}' have no access keys. Register the model with `registry.root(...)` in the study's "
            "AppConfig.ready."
        )


class IdentityInvalid(SyncError):
    """The values given for a record are not those by which it is known."""

    code = "identity_invalid"

    def __init__(self, *, model: str, fields: Sequence[str]) -> None:
        super().__init__(f"A record of '{model}' is known by exactly: {', '.join(fields)}. Give a value for each.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one record may not be: its model's label and client key, and a reason without any field's value."""

    model: str
    key: int | str | None
    reason: str
    field: str | None = None

    def __str__(self) -> str:
        place = self.model if self.key is None else f"{self.model} {self.key}"
        return f"{place}{f', {self.field}' if self.field else ''}: {self.reason}"


class RecordsRefused(SyncError):
    """A validator, or the rule for single-record users, refuses the state that the upload would leave."""

    code = "records_refused"
    SHOWN = 20

    def __init__(self, *, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        more = len(self.refusals) - self.SHOWN
        shown = "; ".join(map(str, self.refusals[: self.SHOWN])) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"The server refuses these records: {shown}. Correct them on the client and upload again.")


class RecordsForeign(RecordsRefused):
    """A single-record user's upload touches data that is not theirs."""

    code = "records_not_yours"


class WireMalformed(SyncError):
    """A request of the seed's wire that cannot be read."""

    code = "wire_malformed"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The request cannot be read: {what}. Compare it with docs/reference/camcops-wire.md.")


class WireTooLarge(SyncError):
    """A request of the seed's wire that is larger than the limit."""

    code = "body_too_large"

    def __init__(self, *, size_max: int) -> None:
        super().__init__(
            f"The request is larger than {size_max:,} bytes. Upload table by table, or raise SYNC_WIRE_BODY_BYTES_MAX "
            "on the server."
        )
