"""What is half received, in the database: any process of the server can go on with it. Bounded per user and in age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import ImportBusy
from sync_api.imports.contents import Stored
from sync_api.imports.receivers import DeclaredFile, ImportRequest
from sync_api.models import ImportedContent, ImportSession
from sync_api.transactions import immediate


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


def note_content(alias: str, user: str, declared: DeclaredFile, stored: Stored) -> None:
    """The bytes are here, their record is not yet."""
    facts = {"md5": stored.md5, "sha256": stored.sha256, "size": stored.size, "user": user}
    ImportedContent.objects.using(alias).update_or_create(
        file_id=declared.file_id, defaults={**facts, "received_at": timezone.now()}
    )


def check_room(alias: str, user: str, size: int) -> None:
    """ImportBusy when too many bytes of this user wait for their records."""
    waiting = ImportedContent.objects.using(alias).filter(user=user).aggregate(all=Sum("size"))["all"] or 0
    if waiting + size > limit("SYNC_IMPORT_PENDING_BYTES_MAX"):
        raise ImportBusy("Too many bytes wait for their records. Send the records first.")


def expired_contents(alias: str) -> list[str]:
    """Forget bytes whose record never came; their SHA-256s, for the owner of the records to discard if unneeded."""
    before = timezone.now() - timedelta(hours=float(limit("SYNC_IMPORT_SESSION_HOURS")))
    rows = ImportedContent.objects.using(alias).filter(received_at__lt=before)
    hashes = list(rows.values_list("sha256", flat=True))
    rows.delete()
    return hashes
