"""Times keep the offset that the client sent: beside the version, or here where it is another than the version's."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from audit.engine import Committed, Plan
from audit.engine.planning import TablePlan
from audit.models import Source
from sync_api.models import Upload, UploadedOffset
from sync_api.uploads.rows import Rows
from sync_api.uploads.tables import TableForm


def keep_offsets(alias: str, upload: Upload, plan: Plan, committed: Committed, rows: Mapping[TableForm, Rows]) -> None:
    """Keep the offsets of the new versions' times that are not the version's own. Call in the commit's transaction."""
    UploadedOffset.objects.using(alias).bulk_create(
        UploadedOffset(upload=upload, table=form.table.label, field=field, utc_offset=offset, versions=pks)
        for form, told in rows.items()
        if told.offsets and form.table in committed.pks
        for (field, offset), pks in differing(form, told, plan.tables[form.table], committed.pks[form.table]).items()
    )


def differing(form: TableForm, rows: Rows, part: TablePlan, pks: Any) -> dict[tuple[str, int], list[int]]:
    found: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place, offsets in rows.offsets.items():
        name = form.table.columns[place]
        if place == form.modified:
            continue
        for row, ordinal in new_versions(rows, part):
            offset = offsets[row]
            if offset is not None and offset != part.versions[ordinal].stamp.utc_offset:
                found[name, offset].append(pks[ordinal])
    return found


def new_versions(rows: Rows, part: TablePlan) -> Iterator[tuple[int, int]]:
    """(place of the row, ordinal of its version) of the rows that became versions."""
    heads = part.heads
    for row, key in enumerate(rows.keys):
        head = heads.get(key)
        if head is not None and head[0] is not None:
            yield row, head[0]


def times_as_sent(alias: str, version: Any) -> dict[str, datetime]:
    """The times of one mirror version, by field name, each in the offset with which the client sent it."""
    references = Source.objects.using(alias).filter(pk=version.mirror_source, kind=Source.Kind.UPLOAD)
    uploads = [uuid.UUID(reference) for reference in references.values_list("reference", flat=True)]
    label = version.mirror_of._meta.label_lower
    kept = UploadedOffset.objects.using(alias).filter(upload__in=uploads, table=label)
    others = {one.field: one.utc_offset for one in kept if version.mirror_pk in one.versions}
    told = {}
    for field in version.mirror_of._meta.local_concrete_fields:
        value = getattr(version, field.name)
        if isinstance(value, datetime):
            offset = others.get(field.name, version.mirror_utc_offset)
            told[field.name] = value if offset is None else value.astimezone(timezone(timedelta(minutes=offset)))
    return told
