"""What exporting and importing refuse."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class ExportEntityUnknown(SyncError):
    """No model of that name can be exported."""

    code = "export_entity_unknown"

    def __init__(self, *, name: str, known: list[str]) -> None:
        super().__init__(f"'{name}' cannot be exported. Known are: {', '.join(known) or 'none'}.")


class ExportSearchInvalid(SyncError):
    """A search is not one that can be applied."""

    code = "export_search_invalid"

    def __init__(self, *, where: str, what: str) -> None:
        super().__init__(f"The search is not valid at {where}: {what}. See docs/reference/exports.md.")


class ExportProtocolUnfit(SyncError):
    """A kind of entity does not travel by the chosen protocol."""

    code = "export_protocol_unfit"

    def __init__(self, *, name: str, protocol: str) -> None:
        super().__init__(f"'{name}' cannot be sent by the protocol {protocol}. Choose another protocol.")


class ExportTargetRefused(SyncError):
    """The target's address is not one to which this installation sends."""

    code = "export_target_refused"

    def __init__(self, *, host: str, what: str) -> None:
        super().__init__(f"Nothing is exported to '{host}': {what}.")


class ExportCredentialsUnreadable(SyncError):
    """A sealed password does not open, or was given for another target."""

    code = "export_credentials_unreadable"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(f"The password of the export configuration '{name}' {what}. Enter it again.")


class ExportUnknown(SyncError):
    """There is no such configuration."""

    code = "export_unknown"

    def __init__(self, *, name: str) -> None:
        super().__init__(f"There is no export configuration '{name}'. `export_entities --list` shows them.")


class LocalContentMissing(SyncError):
    """Bytes that a record here declares are not here, or not whole."""

    code = "content_missing"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(f"The bytes of the file {name} {what} here. Restore them from a backup, then retry the task.")


class ImportRefused(SyncError):
    """A request to import that is not taken; `status` is the HTTP status of the answer."""

    code = "import_refused"
    status = 400

    def __init__(self, what: str) -> None:
        super().__init__(what)


class ImportTooLarge(ImportRefused):
    """The body is larger than is taken."""

    code = "import_too_large"
    status = 413


class ContentRefused(ImportRefused):
    """Bytes that nobody declared, or that are not what was declared."""

    code = "content_refused"
    status = 422


class ImportBusy(ImportRefused):
    """Too much of this user is half received."""

    code = "import_busy"
    status = 429
