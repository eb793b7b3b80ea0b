"""`clear_database`: for tests only."""

from __future__ import annotations

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from sync_api.files.uses import release_all
from sync_api.imports import sessions
from sync_api.models import ExportConfiguration, ImportedContent, ImportSession
from sync_api.transactions import immediate
from syncserver.observatory import contents
from syncserver.observatory.models import Camera, CameraStatus, Event, FileRecord, Tombstone


class ClearingRefused(Exception):
    """OBSERVATORY_MAY_BE_CLEARED is not set."""


def clear_database(*, alias: str = DEFAULT_DB_ALIAS) -> None:
    """Delete everything of the observatory, its exports and its imports, with all bytes. Opens its own transaction.

    ClearingRefused unless OBSERVATORY_MAY_BE_CLEARED is set, which belongs in the settings of tests alone.
    """
    if not getattr(settings, "OBSERVATORY_MAY_BE_CLEARED", False):
        raise ClearingRefused("clear_database is for tests. Set OBSERVATORY_MAY_BE_CLEARED where all data may go.")
    with immediate(alias):
        for model in (Event, FileRecord, CameraStatus, Camera, Tombstone):
            model.objects.using(alias).all().delete()
        for table in (ExportConfiguration, ImportSession, ImportedContent):
            table.objects.using(alias).all().delete()
        for user in (contents.USER, sessions.USER):
            release_all(alias, user=user)
