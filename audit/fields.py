"""Column types that the audit tables and the transport tables share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_datetime

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.expressions import Combinable

    RowIdBase = models.BigAutoField[int | str | Combinable, int]
else:
    RowIdBase = models.BigAutoField

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC. A naive moment is refused with ValueError."""
    if moment.tzinfo is None:
        raise ValueError("A moment needs a time zone: 2026-05-01T12:00:00+02:00, not 2026-05-01T12:00:00.")
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The aware UTC moment of `microseconds` since 1970-01-01."""
    return EPOCH + timedelta(microseconds=microseconds)


class RowIdField(RowIdBase):
    """A 64-bit number that rises with every insert.

    On SQLite it is the table's plain rowid, without AUTOINCREMENT: that keyword costs a second
    write per row. A number can therefore come back only when the highest rows are deleted, which
    append-only tables never do (purging keeps the last row).
    """

    def db_type_suffix(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "sqlite":
            return None
        return super().db_type_suffix(connection)


class MicrosecondsField(models.BigIntegerField):  # type: ignore[type-arg] # the types are below
    """A moment stored as whole microseconds since 1970 UTC, read as an aware datetime."""

    description = "Moment, in microseconds since 1970 UTC"
    if TYPE_CHECKING:
        _pyi_private_set_type: datetime | int | Combinable  # type: ignore[assignment]
        _pyi_private_get_type: datetime  # type: ignore[assignment]
        _pyi_lookup_exact_type: datetime | int  # type: ignore[assignment]

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> datetime | None:
        return None if value is None else from_microseconds(value)

    def get_prep_value(self, value: Any) -> int | None:
        moment = self.to_python(value)
        return None if moment is None else to_microseconds(moment)

    def to_python(self, value: Any) -> datetime | None:
        if value is None or isinstance(value, datetime):
            return value
        if isinstance(value, int):
            return from_microseconds(value)
        moment = parse_datetime(str(value))
        if moment is None or moment.tzinfo is None:
            raise ValidationError(f"“{value}” is not a moment with a time zone.")
        return moment

    def value_to_string(self, obj: models.Model) -> str:
        moment = self.value_from_object(obj)
        return "" if moment is None else moment.isoformat()

    def formfield(self, **kwargs: Any) -> Any:
        return models.DateTimeField().formfield(**kwargs)
