"""Searches for events and files, as data. Newest first with a stable tie-break, in pages, with the count of all.

`{"camera_ids": [...], "after": MS, "before": MS, "after_offset": S, "before_offset": S, "event_type" or
"semantic_type": "ns:s", "mime_type": "...", "exclude_imported": true, "exclude_events": true, "meta": [META],
"skip": N, "limit": N}`; META is `{"key", "type", "value"}`. Times are strict, metadata comparisons inclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, OuterRef, Q

from sync_api.exceptions import ExportSearchInvalid
from syncserver.observatory.models import DAY_MS, Event, EventMeta, FileMeta, FileRecord
from syncserver.observatory.wire import MS_MAX, MS_MIN, from_ms, is_number

PAGE_MAX = 1_000
PAGE_USUAL = 100
LIST_MAX = 1_000
META_CONDITIONS_MAX = 20
TEXT_LENGTH_MAX = 1_000
OPERATORS = {
    "string_equals": ("string", "string_value"),
    "number_equals": ("number", "number_value"),
    "number_less_than": ("number", "number_value__lte"),
    "number_greater_than": ("number", "number_value__gte"),
    "date_before": ("date", "date_value__lte"),
    "date_after": ("date", "date_value__gte"),
}
PAGING = ("skip", "limit")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one of the two kinds is searched."""

    model: type[Event] | type[FileRecord]
    meta: Any
    owner: str
    time: str
    types: tuple[str, ...]


EVENTS = Kind(Event, EventMeta, "event", "event_time", ("event_type",))
FILES = Kind(FileRecord, FileMeta, "file", "file_time", ("semantic_type", "mime_type"))


@dataclass(frozen=True, slots=True)
class Found:
    """One page, and how many there are in all."""

    count: int
    records: list[Any]


def search_events(search: dict[str, Any], *, alias: str = DEFAULT_DB_ALIAS) -> Found:
    """Events with camera, meta and files read. ExportSearchInvalid."""
    return page(EVENTS, search, alias, ["meta", "files__meta", "files__camera"])


def search_files(search: dict[str, Any], *, alias: str = DEFAULT_DB_ALIAS) -> Found:
    """Files with camera and meta read. ExportSearchInvalid."""
    return page(FILES, search, alias, ["meta"])


def page(kind: Kind, search: dict[str, Any], alias: str, related: list[str]) -> Found:
    skip = whole(search.get("skip", 0), "skip", least=0, most=10**9)
    size = whole(search.get("limit", PAGE_USUAL), "limit", least=1, most=PAGE_MAX)
    rows = kind.model._default_manager.using(alias).filter(restriction(kind, search))
    ordered: Any = rows.order_by(f"-{kind.time}", "-pk").select_related("camera").prefetch_related(*related)
    return Found(rows.count(), list(ordered[skip : skip + size]))


def restriction(kind: Kind, search: object) -> Q:
    """The search without its page, as a filter. ExportSearchInvalid names the member that is wrong."""
    if not isinstance(search, dict):
        raise ExportSearchInvalid(where="the top", what="it is an object")
    tests = members(kind)
    found = Q()
    for name, value in search.items():
        if name not in tests and name not in PAGING:
            raise ExportSearchInvalid(where="the top", what=f"its members are {', '.join([*tests, *PAGING])}")
        if name in tests and value is not None:
            found &= tests[name](value)
    return found & time_of_day(search)


def members(kind: Kind) -> dict[str, Callable[[Any], Q]]:
    tests: dict[str, Callable[[Any], Q]] = {
        "camera_ids": lambda value: Q(camera__camera_id__in=texts(value, "camera_ids")),
        "after": lambda value: Q(**{f"{kind.time}__gt": moment(value, "after")}),
        "before": lambda value: Q(**{f"{kind.time}__lt": moment(value, "before")}),
        "after_offset": lambda value: Q(),
        "before_offset": lambda value: Q(),
        "exclude_imported": lambda value: Q(imported_by="") if flag(value, "exclude_imported") else Q(),
        "meta": lambda value: meta(kind, value),
    }
    for name in kind.types:
        tests[name] = lambda value, name=name: Q(**{name: text(value, name)})  # type: ignore[misc]
    if kind is FILES:
        tests["exclude_events"] = lambda value: Q(events__isnull=True) if flag(value, "exclude_events") else Q()
    return tests


def time_of_day(search: dict[str, Any]) -> Q:
    """Seconds since midnight UTC, strict at both ends. A window that begins later than it ends goes over midnight."""
    after, before = search.get("after_offset"), search.get("before_offset")
    later = Q() if after is None else Q(time_of_day_ms__gt=offset(after, "after_offset"))
    earlier = Q() if before is None else Q(time_of_day_ms__lt=offset(before, "before_offset"))
    over_midnight = after is not None and before is not None and after > before
    return later | earlier if over_midnight else later & earlier


def meta(kind: Kind, value: object) -> Q:
    if not isinstance(value, list) or len(value) > META_CONDITIONS_MAX:
        raise ExportSearchInvalid(where="meta", what=f"a list of at most {META_CONDITIONS_MAX}")
    found = Q()
    for place, condition in enumerate(value):
        where = f"meta[{place}]"
        if not isinstance(condition, dict) or set(condition) != {"key", "type", "value"}:
            raise ExportSearchInvalid(where=where, what="it has key, type and value")
        if not isinstance(condition["type"], str) or condition["type"] not in OPERATORS:
            raise ExportSearchInvalid(where=where, what=f"the types are {', '.join(OPERATORS)}")
        name, path = OPERATORS[condition["type"]]
        tests = {"key": text(condition["key"], where), "kind": name, path: compared(condition["value"], name, where)}
        found &= Q(Exists(kind.meta.objects.filter(**{kind.owner: OuterRef("pk")}, **tests)))
    return found


def compared(value: object, kind: str, where: str) -> Any:
    if kind == "string":
        return text(value, where)
    if kind == "date":
        return moment(value, where)
    if not is_number(value):
        raise ExportSearchInvalid(where=where, what="the value is a number")
    return value


def text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX or "\0" in value:
        raise ExportSearchInvalid(where=where, what=f"a text of at most {TEXT_LENGTH_MAX} characters")
    return value


def texts(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or len(value) > LIST_MAX:
        raise ExportSearchInvalid(where=where, what=f"a list of at most {LIST_MAX} texts")
    return [text(one, where) for one in value]


def moment(value: object, where: str) -> Any:
    return from_ms(whole(value, where, least=MS_MIN, most=MS_MAX))


def offset(value: object, where: str) -> int:
    if not is_number(value) or not 0 <= value * 1000 <= DAY_MS:  # type: ignore[operator]
        raise ExportSearchInvalid(where=where, what="seconds since midnight UTC, from 0 to 86400")
    return round(value * 1000)  # type: ignore[operator]


def whole(value: object, where: str, *, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ExportSearchInvalid(where=where, what=f"a whole number from {least} to {most}")
    return value


def flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ExportSearchInvalid(where=where, what="true or false")
    return value
