"""The storage of the records' own files: a name is given once and means the same bytes for ever.

As `STORAGES["default"]` every FileField and ImageField uses it. The name is recorded in the database transaction of
the record (where both use the same database): what is rolled back leaves no name, and bytes that `clean_files` removes.
Files that were there before the study was synchronized are read from MEDIA_ROOT, as they always were.
"""

from __future__ import annotations

import mimetypes
from datetime import datetime
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage
from django.db import IntegrityError
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.deconstruct import deconstructible

from sync_api.conf import files_alias
from sync_api.files.places import Folder
from sync_api.files.store import ContentStore
from sync_api.models import StoredName
from sync_api.transactions import immediate
from sync_api.wire.files import MEDIA_TYPE

NAME_LENGTH_MAX = 500
TRIES_MAX = 20
OCTETS = "application/octet-stream"


@deconstructible(path="sync_api.files.storage.ContentStorage")
class ContentStorage(FileSystemStorage):
    """Files as contents: deleting one ends its name here and leaves its bytes for the history."""

    def _save(self, name: str, content: Any) -> str:
        alias = files_alias()
        content.seek(0)
        store, name = ContentStore(alias), str(name).replace("\\", "/")
        with store.receive(content.chunks()) as (path, kept), immediate(alias):
            store.keep(path, kept)
            for _ in range(TRIES_MAX):
                try:
                    with immediate(alias):
                        StoredName.objects.using(alias).create(
                            name=name, sha256=kept.sha256, size=kept.size, media_type=media_type_of(name)
                        )
                    return name
                except IntegrityError:  # another writer took the name meanwhile
                    name = self.get_available_name(name, max_length=NAME_LENGTH_MAX)
            raise OSError("No free name was found for the file.")

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return super().get_available_name(name, max_length=min(max_length or NAME_LENGTH_MAX, NAME_LENGTH_MAX))

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        row = stored_name(name)
        if row is None:
            legacy: File[Any] = super()._open(name, mode)  # type: ignore[misc]
            return legacy
        if mode != "rb":
            raise ValueError("A stored file is never written to again. Save new content; it gets a name of its own.")
        return File(ContentStore(files_alias()).open(row.sha256), name)

    def delete(self, name: str) -> None:
        """The name ends; it is never given again, and the bytes stay for the history."""
        names = StoredName.objects.using(files_alias()).filter(name=name)
        if not names.filter(removed_at=None).update(removed_at=timezone.now()) and not names.exists():
            super().delete(name)

    def exists(self, name: str) -> bool:
        """Whether the name was ever given."""
        return stored_name(name) is not None or super().exists(name)

    def size(self, name: str) -> int:
        row = stored_name(name)
        return super().size(name) if row is None else row.size

    def path(self, name: str) -> str:
        """The file's path on this machine, where contents lie in a folder."""
        row = stored_name(name)
        place = ContentStore(files_alias()).place
        return str(place.path(row.sha256)) if row is not None and isinstance(place, Folder) else super().path(name)

    def url(self, name: str | None) -> str:
        if name is not None and stored_name(name) is not None:
            try:
                return reverse("sync_files:own", args=[name])
            except NoReverseMatch:
                pass
        return super().url(name)

    def get_created_time(self, name: str) -> datetime:
        row = stored_name(name)
        return super().get_created_time(name) if row is None else row.stored_at

    def get_modified_time(self, name: str) -> datetime:
        row = stored_name(name)
        return super().get_modified_time(name) if row is None else row.stored_at


def stored_name(name: str) -> StoredName | None:
    return StoredName.objects.using(files_alias()).filter(name=name).first()


def media_type_of(name: str) -> str:
    """By the name's ending; what the bytes are nobody has looked at."""
    guessed = mimetypes.guess_type(name)[0] or OCTETS
    return guessed if MEDIA_TYPE.fullmatch(guessed) else OCTETS
