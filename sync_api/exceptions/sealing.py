"""What sealing refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError
from sync_api.exceptions.envelope import EnvelopeTooLarge


class NothingKnownOfSchema(SyncError):
    """A captured row names a schema that is not in CaptureSchema."""

    code = "schema_missing"

    def __init__(self, *, schema_id: int) -> None:
        super().__init__(
            f"The captured schema {schema_id} is missing from this database. Nothing was sealed. "
            "Restore the table sync_api_captureschema from a backup; the captured rows are whole."
        )


class RecordTooLarge(SyncError):
    """A captured record would make a batch that no server with these limits takes."""

    code = "record_too_large"

    def __init__(self, *, record: str, cause: EnvelopeTooLarge) -> None:
        super().__init__(
            f"The change of {record} cannot be sealed: its batch's {cause.what} of {cause.size} would be over the "
            f"limit of {cause.size_max}. Nothing is lost: what was recorded before it is sent, this change and what "
            f"follows wait here. Raise {cause.setting} on the server and here, then push again."
        )


class NoLocalDevice(SyncError):
    """The database does not know which device it is."""

    code = "no_local_device"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"The database '{alias}' is not set up as a device. "
            f"Give it a role in SYNC_DATABASES or SYNC_ROLE and run `manage.py migrate --database {alias}`."
        )
