"""What the records' pages refuse."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class AskedWrongly(SyncError):
    """A page was asked for something that does not exist or cannot be read."""

    code = "asked_wrongly"

    def __init__(self, *, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}.")
