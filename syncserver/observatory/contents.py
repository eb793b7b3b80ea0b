"""The bytes of the observatory's files, in the content store. Each record is a use of its content."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import IO

from sync_api.exceptions import ContentDamaged, ContentMissing, LocalContentMissing
from sync_api.files import uses
from sync_api.files.former import open_former
from sync_api.files.store import ContentStore
from syncserver.observatory.models import FileRecord

USER = "observatory.file"


def use_content(alias: str, file: FileRecord) -> None:
    """The record needs its bytes from now on. Call inside the transaction that writes the record."""
    uses.use(alias, user=USER, key=file.file_id.hex, sha256=file.sha256)


def release_contents(alias: str, file_ids: Iterable[uuid.UUID]) -> None:
    """These records go. Call inside the transaction that removes them; unneeded bytes go when it commits."""
    uses.release(alias, user=USER, keys=(file_id.hex for file_id in file_ids))


def open_content(alias: str, file: FileRecord) -> IO[bytes]:
    """The record's bytes, from the beginning, checked. LocalContentMissing when they are not here, or not whole."""
    try:
        return ContentStore(alias).open_verified(file.sha256)
    except (ContentMissing, ContentDamaged) as error:
        former = open_former(file.sha256)
        if former is not None:
            return former
        what = "are damaged" if isinstance(error, ContentDamaged) else "are not"
        raise LocalContentMissing(name=file.file_id.hex, what=what) from error


def is_whole(alias: str, file: FileRecord) -> bool:
    """Whether the record's bytes are here and are what they are called. Reads them."""
    try:
        open_content(alias, file).close()
    except LocalContentMissing:
        return False
    return True
