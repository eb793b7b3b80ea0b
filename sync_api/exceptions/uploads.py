"""What state-based uploads refuse. Nothing is written by a refused request, and an open upload stays usable."""

from __future__ import annotations

from collections.abc import Iterable

from sync_api.exceptions.base import SyncError


class UploadRefused(SyncError):
    """Base of what is the client's fault in an upload."""

    code = "upload_refused"


class DeviceSendsLog(UploadRefused):
    """The device delivers a log of changes in this era."""

    code = "device_sends_log"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' delivers a log of its changes, so it cannot upload its tables. Preserve all its "
            "records, then change its kind with `device_kind`."
        )


class DeviceUploadsStates(SyncError):
    """The device uploads its tables in this era."""

    code = "device_uploads_states"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' uploads its tables, so no batches are taken from it. Preserve all its records, then "
            "change its kind with `device_kind`. The batch stays on the device."
        )


class DeviceKindFixed(SyncError):
    """The kind changes only where nothing of the present era is there."""

    code = "device_kind_fixed"

    def __init__(self, *, device: str, why: str) -> None:
        super().__init__(
            f"The kind of device '{device}' cannot be changed now: {why}. Preserve its records first (`force_finalize` "
            "or an upload that preserves), then ask again."
        )


class UploadUnknown(UploadRefused):
    """No such upload, or not of this user."""

    code = "upload_unknown"

    def __init__(self, *, upload: str) -> None:
        super().__init__(f"There is no upload '{upload[:40]}' of yours. Start a new one.")


class UploadNotOpen(UploadRefused):
    """The upload has ended."""

    code = "upload_not_open"

    def __init__(self, *, upload: str, state: str, why: str) -> None:
        self.state = state
        reason = f" ({why})" if why else ""
        super().__init__(f"Upload '{upload}' is {state}{reason}; nothing was changed. Start a new upload.")


class KeyReused(UploadRefused):
    """One idempotency key for two requests."""

    code = "idempotency_key_reused"

    def __init__(self, *, key: str) -> None:
        super().__init__(f"The idempotency key '{key[:100]}' was used for another request. Give each request its own.")


class KeyInvalid(UploadRefused):
    """An idempotency key that cannot be kept."""

    code = "idempotency_key_invalid"

    def __init__(self, *, length_max: int) -> None:
        super().__init__(f"An idempotency key has 1 to {length_max} printable ASCII characters. A UUID will do.")


class TableUnknown(UploadRefused):
    """No such table takes uploads."""

    code = "table_unknown"

    def __init__(self, *, table: str) -> None:
        super().__init__(f"No table '{table[:100]}' takes uploads here. Ask for the allowed tables.")


class TableTwice(UploadRefused):
    """One table under two names in one request."""

    code = "table_twice"

    def __init__(self, *, table: str) -> None:
        super().__init__(f"The table '{table}' is named twice in one request. Send it once.")


class FieldUnknown(UploadRefused):
    """The table has no such column."""

    code = "field_unknown"

    def __init__(self, *, table: str, field: str) -> None:
        super().__init__(f"The table {table} has no column '{field[:100]}'. Send the columns that it has.")


class FieldReserved(UploadRefused):
    """A column that only the server writes."""

    code = "field_reserved"

    def __init__(self, *, table: str, field: str) -> None:
        super().__init__(
            f"The column '{field[:100]}' of {table} is written by the server alone. Leave it out; the only column with "
            "an underscore that may be sent is _move_off_tablet."
        )


class FieldTwice(UploadRefused):
    """One column under two names in one row."""

    code = "field_twice"

    def __init__(self, *, table: str, field: str) -> None:
        super().__init__(f"The column '{field}' of {table} is given twice in one row. Give it once.")


class ValueWrong(UploadRefused):
    """A value that the column cannot hold. The text names the column and the row's place, never the value."""

    code = "value_wrong"

    def __init__(self, *, table: str, field: str, row: int) -> None:
        self.field = field
        super().__init__(
            f"Row {row + 1} of {table} has a value for '{field}' that the column cannot hold. Send the value in the "
            "column's form."
        )


class RowsInvalid(UploadRefused):
    """What stands in the place of rows are none."""

    code = "rows_invalid"

    def __init__(self, *, table: str, what: str) -> None:
        super().__init__(f"The rows of {table} cannot be read: {what}. Compare the request with the description.")


class ClientKeyMissing(UploadRefused):
    """A row without its key."""

    code = "client_key_missing"

    def __init__(self, *, table: str, field: str) -> None:
        super().__init__(f"A row of {table} has no '{field}', its key on the device. Send it with each row.")


class ClientKeyTwice(UploadRefused):
    """One key in two rows of one payload."""

    code = "client_key_twice"

    def __init__(self, *, table: str, rows: Iterable[int]) -> None:
        places = " and ".join(str(row + 1) for row in rows)
        super().__init__(f"Rows {places} of {table} have the same key. Send each record once.")


class UploadTooLarge(UploadRefused):
    """More than one upload may have."""

    code = "upload_too_large"

    def __init__(self, *, what: str, size: int, size_max: int, setting: str) -> None:
        super().__init__(
            f"The upload has {size:,} {what}; {size_max:,} are allowed. Upload less, or raise {setting} on the server."
        )


class UploadIncomplete(UploadRefused):
    """Records that the client said it has were never sent."""

    code = "upload_incomplete"

    def __init__(self, *, table: str, count: int) -> None:
        super().__init__(
            f"{count} records of {table} were named and asked for, and were not sent. Send them, then end the upload."
        )


class RowsNotStorable(UploadRefused):
    """The database refused what was sent, for a reason that no check foresaw."""

    code = "rows_not_storable"

    def __init__(self) -> None:
        super().__init__(
            "The server's database cannot hold the rows that were sent. Nothing was written. Compare their values with "
            "the data dictionary, and tell the server's operator."
        )
