"""Reading a table out: what is current of it, or was at a moment, or every version of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from audit.mirror.columns import MirrorRow
from audit.mirror.queryset import MirrorQuerySet, Timeline
from audit.mirror.tables import MirrorTable

WHERE_FROM = {"_device": "mirror_device__name", "_era": "mirror_era", "_pk": "mirror_pk", "_erased": "mirror_erased"}
"""Columns beside the model's own: of several devices and eras, a key alone names no record."""

WHOLE = {
    "_device": "mirror_device__name",
    **{
        str(field.column): field.name
        for field in MirrorRow._meta.local_fields
        if field.name != "mirror_device" and field.name not in WHERE_FROM.values()
    },
    **{name: lookup for name, lookup in WHERE_FROM.items() if name != "_device"},
}
"""All of the mirror's own columns, for every version."""

PIECE_CHARACTERS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is asked for. Nothing said: what is current, of all devices and eras; what is out of date stays hidden."""

    as_of: datetime | None = None
    timeline: Timeline = "captured"
    device: str = ""
    era: str = ""
    every_version: bool = False

    @property
    def own_columns(self) -> dict[str, str]:
        return WHOLE if self.every_version else WHERE_FROM


def chosen_rows(
    table: MirrorTable, alias: str, chosen: Chosen, *, devices: Collection[int] | None = None
) -> MirrorQuerySet:
    """The versions asked for; of `devices` (ids) alone, where not every device may be seen.

    UnknownDevice, UnknownTimeline, NaiveMoment, FutureMoment.
    """
    rows: MirrorQuerySet = table.mirror.objects.using(alias).all()
    if chosen.device:
        rows = rows.for_device(chosen.device)
    if devices is not None:
        rows = rows.filter(mirror_device__in=devices)
    if chosen.era:
        rows = rows.filter(mirror_era=chosen.era)
    if chosen.as_of is not None:
        return rows.as_of(chosen.as_of, chosen.timeline)
    return rows if chosen.every_version else rows.current()


def in_pieces(lines: Iterable[str], characters: int = PIECE_CHARACTERS) -> Iterator[str]:
    """The same text in pieces of about that many characters: a server sends each piece by itself."""
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= characters:
            yield "".join(piece)
            piece, size = [], 0
    if piece:
        yield "".join(piece)
