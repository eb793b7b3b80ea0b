"""Which bytes of files a bundle takes along, and how they are read. Never those of sealed models."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from django.db.models import QuerySet

from sync_api.bundles.manifest import ListedContent
from sync_api.bundles.sources import Source
from sync_api.conf import alias_settings
from sync_api.files.fields import in_parts
from sync_api.files.outgoing import told_facts
from sync_api.files.store import ContentStore, held
from sync_api.models import FileDelivery, FileFact, LocalDevice


@dataclass(frozen=True, slots=True)
class ContentSource:
    """One content that is here. `crc` is its CRC-32 once it was read."""

    sha256: str
    size: int
    crc: int = 0

    @property
    def listed(self) -> ListedContent:
        return ListedContent(self.sha256, self.size)

    def summed(self, alias: str) -> ContentSource:
        """With its checksum, after reading all of it. ContentMissing, ContentDamaged."""
        crc = 0
        for part in self.parts(alias):
            crc = zlib.crc32(part, crc)
        return replace(self, crc=crc)

    def parts(self, alias: str) -> Iterator[bytes]:
        return ContentStore(alias).read(self.sha256)


def content_sources(
    alias: str, batches: Sequence[Source], *, devices: Iterable[str] = (), everything: bool = False
) -> list[ContentSource]:
    """Those to take along, smallest first.

    On a laptop and a middleman what no server is known to hold; on a server what the batches in the bundle tell of.
    With `everything` all that is here. `devices`: of these alone.
    """
    facts = told_facts(alias, to_server=False)
    wanted = list(devices)
    if wanted:
        facts = facts.filter(device__in=wanted)
    if everything:
        hashes = set(facts.values_list("sha256", flat=True))
    elif alias_settings(alias).role == "server":
        hashes = told_in(facts, batches)
    else:
        hashes = set(facts.values_list("sha256", flat=True)) - delivered(alias)
    found: list[tuple[str, int]] = []
    for part in in_parts(hashes):
        found += held(alias).filter(pk__in=part).values_list("pk", "size")
    return [ContentSource(sha256, size) for sha256, size in sorted(found, key=lambda one: (one[1], one[0]))]


def told_in(facts: QuerySet[FileFact], batches: Sequence[Source]) -> set[str]:
    """The contents that these batches tell of."""
    places = {(batch.device, batch.epoch, batch.number) for batch in batches}
    found = facts.filter(epoch__in={batch.epoch for batch in batches})
    rows = found.values_list("device", "epoch", "number", "sha256")
    return {sha256 for device, epoch, number, sha256 in rows if (device, epoch, number) in places}


def delivered(alias: str) -> set[str]:
    """What the home server has said that it holds."""
    home = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).values("server_name")
    return set(FileDelivery.objects.using(alias).filter(peer__in=home).values_list("sha256", flat=True))
