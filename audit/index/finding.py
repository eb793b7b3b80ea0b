"""Finding current records by how their identifiers, or their parent's, begin."""

from __future__ import annotations

from django.db import connections
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Lower

from audit.models import IndexEntry

LAST_CHARACTER = "\U0010ffff"


def find(alias: str, text: str, *, model: str | None = None, device: str | None = None) -> QuerySet[IndexEntry]:
    """The current records whose identifiers, or whose parent's, begin with `text`, whatever its case.

    Ordered by the text. Uses the indexes on both databases.
    """
    entries = IndexEntry.objects.using(alias).select_related("device")
    entries = entries.filter(begins(alias, "folded", text) | begins(alias, "parent_folded", text))
    if model is not None:
        entries = entries.filter(model=model)
    if device is not None:
        entries = entries.filter(device__name=device)
    return entries.order_by("folded", "parent_folded", F("mirror_pk"))


def begins(alias: str, column: str, text: str) -> Q:
    """SQLite's index serves comparisons, PostgreSQL's the pattern. The text is folded as the column was."""
    if connections[alias].vendor == "postgresql":
        return Q(**{f"{column}__startswith": text.lower()})
    folded = Lower(Value(text))
    return Q(**{f"{column}__gte": folded, f"{column}__lt": Concat(folded, Value(LAST_CHARACTER))})
