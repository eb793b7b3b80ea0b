"""Which models are reconciled, and when a day begins and ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils import timezone

from audit.fields import to_microseconds
from sync_api.exceptions import DayInvalid, ReconcileModelsInvalid
from sync_api.schema import synced_models
from sync_api.schema.describe import is_synced

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def reconciled_labels() -> list[str]:
    """The labels in `SYNC_RECONCILE_MODELS`; without it, every synced model. ReconcileModelsInvalid."""
    named = getattr(settings, "SYNC_RECONCILE_MODELS", None) or []
    return [checked_label(label) for label in named] or [model._meta.label_lower for model in synced_models()]


def checked_label(label: Any) -> str:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError, AttributeError) as error:
        raise ReconcileModelsInvalid(what=f"there is no model {label!r}") from error
    if not is_synced(model):
        raise ReconcileModelsInvalid(what=f"the model {label!r} is not synced")
    return str(model._meta.label_lower)


def read_day(text: str) -> date:
    """The day of YYYY-MM-DD; empty: today, by this installation's time zone. DayInvalid."""
    if not text:
        return timezone.localdate()
    try:
        if not DAY.fullmatch(text):  # Python reads other forms too
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        raise DayInvalid(day=text) from error


def bounds_of(day: date) -> tuple[int, int]:
    """The first microsecond of a day, and of the day after it, by this installation's time zone."""
    try:
        begin, end = (
            datetime.combine(one, time.min, timezone.get_current_timezone()) for one in (day, day + timedelta(days=1))
        )
        return to_microseconds(begin), to_microseconds(end)
    except OverflowError as error:
        raise DayInvalid(day=day.isoformat()) from error


def natural_key_of(alias: str, label: str, values: dict[str, Any]) -> list[Any] | None:
    """What people know a record by, from its values by attribute name; None where it cannot be told.

    On a relay the records that a key follows may not be there.
    """
    model = apps.get_model(label)
    known = {field.attname for field in model._meta.concrete_fields}
    record = model(**{name: value for name, value in values.items() if name in known})
    record._state.db = alias
    return key_of(record)


def key_of(record: models.Model) -> list[Any] | None:
    natural_key: Callable[[], tuple[Any, ...]] | None = getattr(record, "natural_key", None)
    if natural_key is None:
        return None
    try:
        return [value if isinstance(value, str | int | None) else str(value) for value in natural_key()]
    except (ObjectDoesNotExist, AttributeError, ValueError, TypeError):
        return None
