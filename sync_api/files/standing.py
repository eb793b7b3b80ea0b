"""How many of this installation's own files are not at its server yet."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from sync_api.files.store import held
from sync_api.models import FileDelivery, FileFact, LocalDevice


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """Files told of in sealed batches: waiting (here, not at the server), lost (neither), unknown when sealed."""

    waiting: int = 0
    waiting_bytes: int = 0
    lost: int = 0
    unknown: int = 0


def own_files(alias: str, device: LocalDevice) -> OwnFiles:
    """Two statements, however many files there are."""
    facts = FileFact.objects.using(alias).filter(device=device.name)
    there = FileDelivery.objects.using(alias).filter(peer=device.server_name, sha256=OuterRef("sha256"))
    here = Exists(held(alias).filter(pk=OuterRef("sha256")))
    rows = facts.exclude(sha256="").filter(~Exists(there)).annotate(is_here=here)
    found = {sha256: (size, is_here) for sha256, size, is_here in rows.values_list("sha256", "size", "is_here")}
    sizes = [size for size, is_here in found.values() if is_here]
    unknown = facts.filter(sha256="").values("label", "field", "name_digest").distinct().count()
    return OwnFiles(len(sizes), sum(sizes), len(found) - len(sizes), unknown)


def own_files_lines(files: OwnFiles) -> list[str]:
    """The same in words; nothing where all is well."""
    lines = []
    if files.waiting:
        lines.append(f"  {files.waiting} files ({files.waiting_bytes} bytes) are not at the server yet.")
    if files.lost:
        lines.append(f"  {files.lost} files are damaged or lost here and not at the server: look at the disk.")
    if files.unknown:
        lines.append(f"  {files.unknown} files that records name could not be found when they were sealed.")
    return lines
