"""What an installation has to hand on: the bytes of its own records' files, and on a middleman those of others'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Exists, Min, OuterRef, QuerySet
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import ContentMissing
from sync_api.files.fields import in_parts
from sync_api.files.store import held
from sync_api.models import FileDelivery, FileFact, LocalDevice


@dataclass(frozen=True, slots=True)
class FilesPage:
    """A part of the list; `next` is None at its end."""

    files: list[dict[str, Any]]
    next: int | None


def told_facts(alias: str, *, to_server: bool) -> QuerySet[FileFact]:
    """Facts whose bytes may go to another installation. Those of sealed models go to a server only, and directly."""
    facts = FileFact.objects.using(alias).exclude(sha256="")
    return facts if to_server else facts.filter(is_sealed=False)


def waiting_contents(alias: str, peer: str, *, to_server: bool) -> list[tuple[str, int]]:
    """(hash, size) of the contents that are here and of which `peer` has not said lately that it holds them."""
    since = timezone.now() - timedelta(hours=float(limit("SYNC_FILES_ASK_AGAIN_HOURS")))
    there = FileDelivery.objects.using(alias).filter(peer=peer, sha256=OuterRef("pk"), told_at__gt=since)
    named = told_facts(alias, to_server=to_server).filter(sha256=OuterRef("pk"))
    contents = held(alias).filter(Exists(named), ~Exists(there)).order_by("size", "pk")
    return list(contents.values_list("pk", "size"))


def note_delivered(alias: str, peer: str, hashes: list[str]) -> None:
    """`peer` said that it holds these. Opens its own transaction; again only moves the moment on."""
    now = timezone.now()
    rows = [FileDelivery(peer=peer, sha256=sha256, told_at=now) for sha256 in hashes]
    FileDelivery.objects.using(alias).bulk_create(
        rows, update_conflicts=True, unique_fields=["peer", "sha256"], update_fields=["told_at"], batch_size=500
    )


def note_lost(alias: str, peer: str, hashes: list[str]) -> None:
    """`peer` said that it lacks these, whatever it said before."""
    for part in in_parts(hashes):
        FileDelivery.objects.using(alias).filter(peer=peer, sha256__in=part).delete()


def outgoing_files(alias: str, device: LocalDevice, *, after: int) -> FilesPage:
    """What a visiting middleman may fetch: not at the home server yet, and of no sealed model."""
    there = FileDelivery.objects.using(alias).filter(peer=device.server_name, sha256=OuterRef("sha256"))
    here = held(alias).filter(pk=OuterRef("sha256"))
    facts = told_facts(alias, to_server=False).filter(Exists(here), ~Exists(there), device=device.name)
    most = int(limit("SYNC_FILES_PER_REQUEST_MAX"))
    grouped = facts.order_by().values("sha256", "size").annotate(first=Min("id")).filter(first__gt=after)
    listed = list(grouped.order_by("first")[: most + 1])
    files = [{"sha256": one["sha256"], "size": one["size"]} for one in listed[:most]]
    return FilesPage(files, listed[most - 1]["first"] if len(listed) > most else None)


def outgoing_content(alias: str, sha256: str) -> int:
    """The size of a content that a visitor may fetch. ContentMissing, also for one of a sealed model only."""
    if not told_facts(alias, to_server=False).filter(sha256=sha256).exists():
        raise ContentMissing(sha256=sha256)
    size = held(alias).filter(pk=sha256).values_list("size", flat=True).first()
    if size is None:
        raise ContentMissing(sha256=sha256)
    return size


def pending_here(alias: str) -> tuple[int, int]:
    """How many contents are named here whose bytes are not, and how many bytes they are."""
    named = FileFact.objects.using(alias).exclude(sha256="").exclude(Exists(held(alias).filter(pk=OuterRef("sha256"))))
    sizes = dict(named.order_by().values_list("sha256", "size").distinct())
    return len(sizes), sum(sizes.values())
