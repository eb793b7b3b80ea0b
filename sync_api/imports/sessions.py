"""What is half received, in the database: any process of the server can go on with it. Bounded per user and in age."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import ImportBusy
from sync_api.files import uses
from sync_api.files.fields import in_parts
from sync_api.files.store import Kept
from sync_api.imports.receivers import DeclaredFile, ImportRequest
from sync_api.models import ImportedContent, ImportSession
from sync_api.transactions import immediate

USER = "import"
"""Whose uses of contents these are; their keys are the ids of the files."""


def remember(request: ImportRequest) -> None:
    """Keep the entity as it was sent now; an older body under the same id gives way. Opens its own transaction."""
    sessions = ImportSession.objects.using(request.alias)
    facts = {"entity_type": request.entity_type, "body": request.body, "touched_at": timezone.now()}
    with immediate(request.alias):
        sessions.update_or_create(user=request.user, entity_id=request.entity_id, defaults=facts)
        own = sessions.filter(user=request.user).order_by("-touched_at", "-id")
        too_many = list(own.values_list("pk", flat=True)[int(limit("SYNC_IMPORT_SESSIONS_MAX")) :])
        expired = timezone.now() - timedelta(hours=float(limit("SYNC_IMPORT_SESSION_HOURS")))
        sessions.filter(pk__in=too_many).delete()
        sessions.filter(touched_at__lt=expired).delete()


def recall(alias: str, user: str, entity_id: str) -> ImportRequest | None:
    """The entity as this user sent it last; None when it is not known (any more)."""
    session = ImportSession.objects.using(alias).filter(user=user, entity_id=entity_id).first()
    if session is None:
        return None
    return ImportRequest(alias, user, session.entity_type, session.entity_id, session.body)


def forget(request: ImportRequest) -> None:
    """The exchange about the entity is over."""
    ImportSession.objects.using(request.alias).filter(user=request.user, entity_id=request.entity_id).delete()


def declared_file(alias: str, user: str, file_id: str) -> DeclaredFile | None:
    """What this user's half received entities say of a file; None when they do not name it."""
    sessions = ImportSession.objects.using(alias).filter(user=user).order_by("-touched_at", "-id")
    direct = sessions.filter(entity_id=file_id, entity_type="file").first()
    found = [direct] if direct is not None else sessions.filter(entity_type="event").iterator(chunk_size=50)
    for session in found:
        for facts in files_of(session.body):
            if facts.get("file_id") == file_id:
                return DeclaredFile(file_id, str(facts["md5"]), int(facts["file_size"]))
    return None


def files_of(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "file_id" in body:
        yield body
    yield from body.get("files", [])


def note_content(alias: str, user: str, declared: DeclaredFile, kept: Kept) -> None:
    """The bytes are here, their record is not yet; they stay until it is, or too old. Opens its own transaction.

    When the bytes went in between, because another row was their last, nothing is noted, and they are asked for again.
    """
    facts = {"md5": kept.md5, "sha256": kept.sha256, "size": kept.size, "user": user}
    with immediate(alias):
        if not uses.is_held(alias, kept.sha256):
            return
        ImportedContent.objects.using(alias).update_or_create(
            file_id=declared.file_id, defaults={**facts, "received_at": timezone.now()}
        )
        uses.use(alias, user=USER, key=declared.file_id, sha256=kept.sha256)


def check_room(alias: str, user: str, size: int) -> None:
    """ImportBusy when too many bytes of this user wait for their records."""
    waiting = ImportedContent.objects.using(alias).filter(user=user).aggregate(all=Sum("size"))["all"] or 0
    if waiting + size > limit("SYNC_IMPORT_PENDING_BYTES_MAX"):
        raise ImportBusy("Too many bytes wait for their records. Send the records first.")


def forget_contents(alias: str, file_ids: Iterable[str]) -> None:
    """These wait for no record any more. Call inside a transaction; bytes that nothing names go when it commits."""
    for part in in_parts(file_ids):
        ImportedContent.objects.using(alias).filter(file_id__in=part).delete()
        uses.release(alias, user=USER, keys=part)


def forget_expired(alias: str) -> None:
    """Forget bytes whose record never came. Opens its own transaction."""
    before = timezone.now() - timedelta(hours=float(limit("SYNC_IMPORT_SESSION_HOURS")))
    with immediate(alias):
        rows = ImportedContent.objects.using(alias).filter(received_at__lt=before)
        forget_contents(alias, list(rows.values_list("file_id", flat=True)))
