"""Rows of any study's models, made from the types of their fields.

What a field may hold is taken from the field: length, digits, choices. A value that must be unique is made from a
counter. A model with a field that cannot be made is left out, and the report says so.
"""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models

from sync_api.schema import synced_models

TEXTS = ("", "a", "Müller", "O'Neil; DROP", 'says "no"', "line\nbreak", "tab\t", "日本", "🩸", "0", "NULL", "%s {} \\")
FLOATS = (0.0, -0.0, 0.1, 1 / 3, -1e300, 5e-324, 37.2, 123456789.123456789)
JSONS: tuple[Any, ...] = ({}, [], {"a": [1, None, "x"]}, "text", 0.1, True, {"ü": {"b": -1}})
MINUTES_MAX = 60 * 24 * 365
COUNTER_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INTEGER_MAX = {
    models.SmallIntegerField: 2**15 - 1,
    models.PositiveSmallIntegerField: 2**15 - 1,
    models.BigIntegerField: 2**63 - 1,
    models.PositiveBigIntegerField: 2**63 - 1,
}


class NotMade(Exception):
    """No value can be made for a field, or no row that it could refer to (then of the model `lacks`)."""

    def __init__(self, what: str, *, lacks: type[models.Model] | None = None) -> None:
        super().__init__(what)
        self.lacks = lacks


@dataclass(slots=True)
class Maker:
    """Makes the values of one row. `counter` is unlike that of any other row in the run."""

    alias: str
    chance: random.Random
    counter: int

    def value(self, field: models.Field[Any, Any], *, unique: bool) -> Any:
        if field.null and not unique and self.chance.random() < 0.2:
            return None
        if field.is_relation:
            return self.referred(field)
        if field.choices and not unique:
            return self.chance.choice([key for key, _ in flat_choices(field)])
        for classes, make in MAKERS:
            if isinstance(field, classes):
                return make(self, field, unique)
        raise NotMade(f"{field.model._meta.label}.{field.name} ({type(field).__name__})")

    def referred(self, field: Any) -> Any:
        """An existing row; of models that are not synced, one is made when there is none."""
        model = field.remote_field.model
        if model is ContentType:
            return ContentType.objects.db_manager(self.alias).get_for_model(field.model)
        rows = list(model._base_manager.using(self.alias).order_by("pk")[:8])
        if rows:
            return self.chance.choice(rows)
        if field.null:
            return None
        if model not in synced_models():
            row = new_row(model, self)
            row.save(using=self.alias, force_insert=True)
            return row
        raise NotMade(f"there is no {model._meta.verbose_name} yet", lacks=model)

    def text(self, field: Any, unique: bool) -> str:
        length = field.max_length or 40
        if unique:
            return based(self.counter)[-length:].rjust(min(4, length), "0")
        return str(self.chance.choice(TEXTS))[:length]

    def integer(self, field: Any, unique: bool) -> int:
        most = next((top for kind, top in INTEGER_MAX.items() if isinstance(field, kind)), 2**31 - 1)
        if unique:
            return self.counter % most + 1
        least = 0 if "Positive" in type(field).__name__ else -most
        return self.chance.choice([0, 1, most, least, self.chance.randint(0, most)])

    def decimal(self, field: models.DecimalField[Any, Any], unique: bool) -> Decimal:
        digits = field.max_digits or 15
        number = self.counter if unique else self.chance.randrange(10**digits)
        return Decimal(number % 10**digits).scaleb(-(field.decimal_places or 0))

    def moment(self, field: Any, unique: bool) -> datetime.datetime:
        minutes = self.counter if unique else self.chance.randrange(MINUTES_MAX)
        return datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(
            minutes=minutes, microseconds=self.chance.choice([0, 1, 999_999])
        )

    def some_uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.chance.getrandbits(64) << 64 | self.counter)


def based(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, len(COUNTER_CHARACTERS))
        digits = COUNTER_CHARACTERS[rest] + digits
    return digits


def flat_choices(field: Any) -> list[tuple[Any, Any]]:
    return list(field.flatchoices)


Make = Callable[[Maker, Any, bool], Any]
MAKERS: tuple[tuple[tuple[type[models.Field[Any, Any]], ...], Make], ...] = (
    ((models.EmailField,), lambda maker, field, unique: f"{based(maker.counter)}@e.org"[-field.max_length :]),
    ((models.URLField,), lambda maker, field, unique: f"http://e.org/{based(maker.counter)}"[: field.max_length]),
    ((models.FileField,), lambda maker, field, unique: f"f/{based(maker.counter)}.jpg"[-field.max_length :]),
    ((models.SlugField,), lambda maker, field, unique: f"s{based(maker.counter)}"[-field.max_length :]),
    ((models.CharField, models.TextField), Maker.text),
    ((models.BooleanField,), lambda maker, field, unique: maker.chance.random() < 0.5),
    ((models.DecimalField,), Maker.decimal),
    (
        (models.FloatField,),
        lambda maker, field, unique: float(maker.counter) if unique else maker.chance.choice(FLOATS),
    ),
    ((models.DurationField,), lambda maker, field, unique: datetime.timedelta(seconds=maker.counter, microseconds=1)),
    ((models.DateTimeField,), Maker.moment),
    ((models.DateField,), lambda maker, field, unique: maker.moment(field, unique).date()),
    ((models.TimeField,), lambda maker, field, unique: maker.moment(field, unique).time()),
    ((models.UUIDField,), lambda maker, field, unique: maker.some_uuid()),
    ((models.BinaryField,), lambda maker, field, unique: maker.chance.randbytes(maker.chance.randrange(6))),
    ((models.JSONField,), lambda maker, field, unique: maker.chance.choice(JSONS)),
    (
        (models.GenericIPAddressField,),
        lambda maker, field, unique: f"10.{maker.counter >> 16 & 255}.{maker.counter >> 8 & 255}.{maker.counter & 255}",
    ),
    ((models.IntegerField,), Maker.integer),
)


def unique_names(model: type[models.Model]) -> set[str]:
    """The fields whose values a constraint may refuse."""
    meta = model._meta
    names = {field.name for field in meta.concrete_fields if field.unique}
    for together in meta.unique_together:
        names.update(together)
    for constraint in meta.constraints:
        names.update(getattr(constraint, "fields", ()))
    return names


def made_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """The fields that a row of the simulation fills itself."""
    kept = []
    for field in model._meta.concrete_fields:
        is_parent_link = getattr(field.remote_field, "parent_link", False)
        is_counter = isinstance(field, models.AutoField | models.BigAutoField | models.SmallAutoField)
        if not (is_parent_link or is_counter or isinstance(field, models.GeneratedField)):
            kept.append(field)
    return kept


def new_row(model: type[models.Model], maker: Maker) -> models.Model:
    """An unsaved row. NotMade where it cannot be."""
    unique = unique_names(model)
    return model(
        **{
            field.name: maker.value(field, unique=field.name in unique and not field.is_relation)
            for field in made_fields(model)
        }
    )


def changeable_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """Fields that an update may change without meeting a constraint."""
    unique = unique_names(model)
    return [field for field in made_fields(model) if field.name not in unique and not field.primary_key]


def studied_models() -> tuple[list[type[models.Model]], dict[str, str]]:
    """The synced models to write, and those left out, each with its reason. Tables between come with their ends."""
    studied, left_out = [], {}
    for model in synced_models():
        if model._meta.auto_created:
            continue
        unknown = [
            field.name
            for field in made_fields(model)
            if not field.is_relation
            and not field.choices
            and not any(isinstance(field, classes) for classes, _ in MAKERS)
        ]
        if unknown:
            left_out[model._meta.label] = f"no values are made for {', '.join(unknown)}"
        else:
            studied.append(model)
    return studied, left_out
