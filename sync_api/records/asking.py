"""What a page's address asks for, read and checked. AskedWrongly says in one sentence what is wrong with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import apps
from django.http import Http404, QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.exceptions import NotMirrored
from audit.mirror.tables import MirrorTable, table_for
from audit.reading.changes import Asked
from audit.reading.download import Chosen
from sync_api.exceptions import AskedWrongly

FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}
TEXT_LENGTH_MAX = 200


def read_chosen(asked: QueryDict) -> Chosen:
    timeline: Any = asked.get("timeline", "captured") or "captured"
    return Chosen(
        as_of=read_moment(asked.get("as_of", "")),
        timeline=timeline,
        device=short(asked, "device"),
        era=short(asked, "era"),
        every_version=asked.get("versions") == "all",
    )


def read_format(asked: QueryDict) -> Any:
    wanted = asked.get("format", "csv")
    if wanted not in FORMATS:
        raise AskedWrongly(what=f"There is no format {wanted[:20]!r}", remedy="Use csv or jsonl")
    return wanted


def read_asked(asked: QueryDict, tables: list[MirrorTable]) -> Asked:
    """The audit page's form. Of tables, only those that the user may see."""
    label, key, pk = short(asked, "table"), short(asked, "key"), short(asked, "pk")
    table = next((table for table in tables if table.label == label), None)
    if label and table is None:
        raise AskedWrongly(what=f"There is no table {label!r} that you may see", remedy="Choose one of the list")
    if (key or pk) and table is None:
        raise AskedWrongly(what="A record is known by its table and key", remedy="Choose its table too")
    if pk and not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        raise AskedWrongly(what="A version's number (_pk) is a whole number", remedy="Look it up in the mirror")
    return Asked(
        device=short(asked, "device"),
        user=short(asked, "user"),
        table=table,
        key=key,
        mirror_pk=int(pk) if pk else None,
        since=read_moment(asked.get("since", "")),
        until=read_moment(asked.get("until", "")),
        failed=asked.get("failed") == "on",
    )


def read_moment(text: str) -> datetime | None:
    """A moment of a form: local time where no time zone is given."""
    if not text:
        return None
    if text == "now":
        return timezone.now()
    try:
        moment = parse_datetime(text[:TEXT_LENGTH_MAX])
    except ValueError:
        moment = None
    if moment is None:
        raise AskedWrongly(what=f"{text[:40]!r} is not a moment", remedy="Write it as 2026-05-01T12:00:00+02:00")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def short(asked: QueryDict, name: str) -> str:
    return asked.get(name, "").replace("\0", "")[:TEXT_LENGTH_MAX].strip()


def find_table(label: str) -> MirrorTable:
    """Http404 for what is not mirrored here."""
    try:
        model: Any = apps.get_model(label)
        return table_for(model)
    except (LookupError, ValueError, NotMirrored) as error:
        raise Http404("No such table.") from error
