"""What can be exported: every mirrored model by itself, and any model that an app registers.

A source says which entities a search finds now and in which version, and gives their content when it is their turn.
"""

from __future__ import annotations

import datetime as dates
import decimal
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from django.apps import apps
from django.db import models
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat, Replace

from audit.exceptions import NotMirrored
from audit.mirror.tables import MirrorTable, mirror_tables, table_for
from audit.models import Device
from sync_api.exceptions import ExportEntityUnknown, ExportProtocolUnfit, ExportSearchInvalid
from sync_api.exports.conversation import WireSource
from sync_api.exports.search import conditions, searchable
from sync_api.models import ExportConfiguration, ExportTask

ENTITY, VERSION = "export_entity", "export_version"


class EntitySource(ABC):
    """One kind of entity. `found` and `removed` are annotated with ENTITY (text) and VERSION (a whole number)."""

    name: str
    wire: ClassVar[WireSource | None] = None
    """How this kind speaks MeteorPi's protocol, if it does."""

    @abstractmethod
    def check(self, search: dict[str, Any]) -> None:
        """ExportSearchInvalid unless the search can be applied."""

    @abstractmethod
    def found(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        """What the search finds now, in the order in which it is to be sent."""

    def removed(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any] | None:
        """What this configuration sent before and what is gone; None where that is not known."""
        return None

    @abstractmethod
    def records(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]:
        """By task: the record as JSON. Those that are gone are left out. A fixed number of statements."""


class WatermarkSource(Protocol):
    """A source that can tell what is new since its last marking. `watermark` is read before `found`."""

    def watermark(self, alias: str) -> dates.datetime: ...


class MirrorSource(EntitySource):
    """The current versions of a mirrored model. An entity is (device, key); its version the version's own number.

    A mirror's committed moments rise strictly and are given as the commit's last step, so what was committed since the
    last marking is known by its moment alone, and marking again costs nothing for what was marked.
    """

    def __init__(self, table: MirrorTable) -> None:
        self.table = table
        self.name = table.source._meta.label
        fields = [table.mirror._meta.get_field(name) for name in table.columns]
        self.fields = searchable([field for field in fields if isinstance(field, models.Field)])
        self.fields["device"] = ("mirror_device__name", models.CharField())
        self.fields["era"] = ("mirror_era", models.CharField())
        self.fields["captured_at"] = ("mirror_captured_at", models.DateTimeField())

    def check(self, search: dict[str, Any]) -> None:
        conditions(search, self.fields)

    def watermark(self, alias: str) -> dates.datetime:
        from audit.clock import last_commit

        return last_commit(alias)

    def found(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        versions = self._versions(alias).filter(conditions(configuration.search, self.fields), mirror_current=True)
        if configuration.marked_until is not None:
            versions = versions.filter(mirror_added_at__gt=configuration.marked_until)
        return versions.order_by("mirror_captured_at", "mirror_pk")

    def removed(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        sent = ExportTask.objects.filter(configuration=configuration, entity=OuterRef(ENTITY), is_deletion=False)
        gone = self._versions(alias).filter(Exists(sent), mirror_current=False, mirror_successor__isnull=True)
        if configuration.marked_until is not None:
            gone = gone.filter(mirror_removed_at__gt=configuration.marked_until)
        return gone.order_by("mirror_removed_captured_at", "mirror_pk")

    def _versions(self, alias: str) -> QuerySet[Any]:
        key = Cast(self.table.key, CharField())
        versions: QuerySet[Any] = self.table.mirror.objects.using(alias).annotate(
            **{
                ENTITY: Concat(Cast("mirror_device_id", CharField()), Value("/"), without_hyphens(key, self.table)),
                VERSION: models.F("mirror_pk"),
            }
        )
        return versions

    def records(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]:
        rows = self.table.mirror.objects.using(alias).in_bulk([task.version for task in tasks])
        ids = {row.mirror_device_id for row in rows.values()}
        devices = dict(Device.objects.using(alias).filter(pk__in=ids).values_list("pk", "name"))
        return {task.pk: self._record(rows[task.version], devices, task) for task in tasks if task.version in rows}

    def _record(self, row: Any, devices: dict[int, str], task: ExportTask) -> dict[str, Any]:
        device = devices[row.mirror_device_id]
        moment = row.mirror_removed_captured_at if task.is_deletion else row.mirror_captured_at
        facts = {
            "record_id": f"{device}/{task.entity.split('/', 1)[1]}",
            "model": self.name,
            "version": task.version,
            "deleted": task.is_deletion,
            "device": device,
            "era": row.mirror_era,
            "captured_at": plain(moment),
        }
        if not task.is_deletion:
            facts["fields"] = {name: plain(getattr(row, name)) for name in self.table.columns}
        return facts


class ModelSource(EntitySource):
    """An ordinary model that an app registers.

    `version` names a whole-number field that rises with every change of the row; without one, an entity is sent once.
    `order` are the fields by which tasks are ordered.
    """

    def __init__(
        self, model: type[models.Model], *, version: str | None = None, order: Sequence[str] = ("pk",)
    ) -> None:
        self.model = model
        self.name = model._meta.label
        self.version = version
        self.order = order
        self.fields = searchable(list(model._meta.concrete_fields))

    def check(self, search: dict[str, Any]) -> None:
        conditions(search, self.fields)

    def found(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        return self.versions(alias).filter(conditions(configuration.search, self.fields)).order_by(*self.order)

    def versions(self, alias: str) -> QuerySet[Any]:
        key = Cast("pk", CharField())
        version: Any = Value(0, models.BigIntegerField()) if self.version is None else models.F(self.version)
        entity = Replace(key, Value("-"), Value("")) if is_uuid(self.model) else key
        rows: QuerySet[Any] = self.model._default_manager.using(alias)
        annotated: QuerySet[Any] = rows.annotate(**{ENTITY: entity, VERSION: version})
        return annotated

    def records(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]:
        key = self.model._meta.pk
        wanted = {task.pk: key.to_python(task.entity) for task in tasks}
        rows = self.model._default_manager.using(alias).in_bulk(list(wanted.values()))
        fields = self.model._meta.concrete_fields
        return {
            task.pk: {
                "record_id": task.entity,
                "model": self.name,
                "version": task.version,
                "deleted": False,
                "fields": {field.name: plain(field.value_from_object(rows[wanted[task.pk]])) for field in fields},
            }
            for task in tasks
            if wanted[task.pk] in rows
        }


REGISTERED: dict[str, EntitySource] = {}


def register(source: EntitySource) -> None:
    """Make a kind of entity exportable. Call it in an AppConfig's `ready()`; again, it replaces."""
    REGISTERED[source.name.lower()] = source


def source_for(name: str) -> EntitySource:
    """The source of that name: a registered one, else the mirror of the model. ExportEntityUnknown."""
    known = REGISTERED.get(name.lower())
    if known is not None:
        return known
    try:
        model: Any = apps.get_model(name)
        return MirrorSource(table_for(model))
    except (LookupError, ValueError, NotMirrored):
        raise ExportEntityUnknown(name=name, known=source_names()) from None


def source_names() -> list[str]:
    mirrored = {table.source._meta.label for table in mirror_tables()}
    return sorted({source.name for source in REGISTERED.values()} | mirrored)


def check_configuration(configuration: ExportConfiguration) -> None:
    """ExportEntityUnknown, ExportSearchInvalid or ExportProtocolUnfit unless it can be marked and sent."""
    source = source_for(configuration.entity_type)
    if not isinstance(configuration.search, dict):
        raise ExportSearchInvalid(where="the top", what="it is an object")
    source.check(configuration.search)
    if configuration.protocol == ExportConfiguration.Protocol.METEORPI and source.wire is None:
        raise ExportProtocolUnfit(name=source.name, protocol=configuration.protocol)


def is_uuid(model: type[models.Model]) -> bool:
    return isinstance(model._meta.pk, models.UUIDField)


def without_hyphens(key: Any, table: MirrorTable) -> Any:
    """A UUID as 32 hex digits, whichever way the database writes it."""
    return Replace(key, Value("-"), Value("")) if is_uuid(table.source) else key


def plain(value: Any) -> Any:
    """A field's value as JSON has it: moments in ISO 8601, decimals and UUIDs as text, bytes in hex."""
    if isinstance(value, dates.datetime | dates.date | dates.time):
        return value.isoformat()
    if isinstance(value, dates.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, models.fields.files.FieldFile):
        return value.name
    return value
