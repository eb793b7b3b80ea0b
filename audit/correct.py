"""Correcting a record on the server: the one way to edit there."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models
from django.utils import timezone

from audit.engine import Change, Stamp, load_current, plan, write
from audit.engine.current import Existing
from audit.engine.values import same_values
from audit.exceptions import InvalidValue, NoCurrentRecord, NothingToCorrect, ReasonRequired, UnknownField
from audit.fields import to_microseconds
from audit.mirror.columns import NOW, MirrorRow
from audit.mirror.queryset import device_id
from audit.mirror.tables import MirrorTable, table_for
from audit.models import Device, Source
from audit.transactions import immediate


def correct(
    model: type[models.Model],
    *,
    device: Device | str | int,
    key: object,
    values: Mapping[str, Any] | None = None,
    delete: bool = False,
    user: str,
    reason: str,
    using: str,
    era: str = NOW,
) -> MirrorRow:
    """Make a new version of a device's current record with some fields changed, or end it (`delete=True`).

    `values` are Python values by the model's field names; a foreign key takes the referred row's key. The
    version carries user, moment and reason, its source is a correction, and the commit has its audit row.
    Returns the new version, or the ended one of a delete. Opens its own transaction.

    Errors: ReasonRequired, UnknownDevice, UnknownField (also for the key), InvalidValue, NoCurrentRecord,
    NothingToCorrect.
    """
    table = table_for(model)
    if not reason.strip():
        raise ReasonRequired(label=table.label)
    changed = {} if delete else parameters(table, values or {}, using)
    record = table.canonical_key(key)
    with immediate(using):
        owner = Device.objects.using(using).get(pk=device_id(device, using))
        current = load_current(using, owner.pk, {table: [record]}, {table}, era=era)
        existing = current[table].get(record)
        if existing is None or existing.pk is None:
            raise NoCurrentRecord(label=table.label, device=owner.name, era=era, key=key)
        change = Change(
            "D" if delete else "U",
            table,
            record,
            None if delete else merged(table, existing, changed),
            stamp(user=user, reason=reason, using=using),
        )
        source = Source.objects.using(using).create(
            device=owner, kind=Source.Kind.CORRECTION, reference=uuid.uuid4().hex
        )
        (committed,) = write(using, owner, plan([change], current), source, user, "", era=era)
    version: MirrorRow = table.mirror.objects.using(using).get(pk=existing.pk if delete else committed.keys["added"][0])
    return version


def parameters(table: MirrorTable, values: Mapping[str, Any], using: str) -> dict[str, Any]:
    """Database parameters by field name of the values given, each checked by the model's own field."""
    by_name = {name: name for name in table.columns if name != table.key}
    by_name |= {table.source._meta.get_field(name).attname: name for name in by_name}  # type: ignore[union-attr]
    unknown = [name for name in values if name not in by_name]
    if unknown:
        raise UnknownField(label=table.label, fields=unknown, known=sorted(set(by_name.values())))
    return {by_name[name]: parameter(table, by_name[name], value, using) for name, value in values.items()}


def parameter(table: MirrorTable, name: str, value: Any, using: str) -> Any:
    source: Any = table.source._meta.get_field(name)
    mirror: Any = table.mirror._meta.get_field(name)
    try:
        if source.is_relation or isinstance(source, models.FileField):
            clean = mirror.to_python(value.pk if isinstance(value, models.Model) else value)
            if clean is None and not source.null:
                raise ValidationError("", code="null")
        else:
            clean = source.clean(value, None)
        return mirror.get_db_prep_save(clean, connections[using])
    except ValidationError as error:
        codes = sorted({str(one.code) for one in error.error_list})
        raise InvalidValue(label=table.label, field=name, why=f"({', '.join(codes)})") from error


def merged(table: MirrorTable, existing: Existing, changed: Mapping[str, Any]) -> tuple[Any, ...]:
    """The current values with the changed ones in their places."""
    assert existing.values is not None, "loaded with values"
    values = tuple(changed.get(name, value) for name, value in zip(table.columns, existing.values, strict=True))
    if same_values(table, existing.values, values):
        raise NothingToCorrect(label=table.label)
    return values


def stamp(*, user: str, reason: str, using: str) -> Stamp:
    now = timezone.now()
    offset = timezone.localtime(now).utcoffset()
    return Stamp(
        captured_at=to_microseconds(now),
        utc_offset=None if offset is None else int(offset.total_seconds() // 60),
        user=user,
        reason=reason,
        producer=f"{socket.gethostname()}/{using}",
    )
