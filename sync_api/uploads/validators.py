"""Validators ready to register."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from sync_api.exceptions import Refusal
from sync_api.uploads.registry import Validator
from sync_api.uploads.state import Row, State


def model_fields(model: type[models.Model]) -> Validator:
    """What the model's own fields say: blank, choices, length, their validators. Foreign keys and the key aside."""
    fields: list[Any] = [
        one for one in model._meta.local_concrete_fields if not one.is_relation and not one.primary_key and one.editable
    ]

    def fields_hold(changed: Sequence[Row], state: State) -> Iterator[Refusal]:
        for key, values in changed:
            for one in fields:
                try:
                    one.clean(values[one.name], None)
                except ValidationError as error:
                    codes = ", ".join(sorted({str(each.code) for each in error.error_list}))
                    yield refusal(model, key, f"not valid ({codes})", one.name)

    return fields_hold


def references_exist(model: type[models.Model]) -> Validator:
    """Each foreign key to a synced model refers to a record that the device has after the upload."""
    fields: list[Any] = [one for one in model._meta.local_concrete_fields if one.is_relation]
    links = [one for one in fields if "mirror_model" in vars(one.related_model._meta) and one.target_field.primary_key]

    def references_hold(changed: Sequence[Row], state: State) -> Iterator[Refusal]:
        for link in links:
            there = state.rows(link.related_model)
            for key, values in changed:
                if values[link.name] is not None and values[link.name] not in there:
                    yield refusal(model, key, "refers to a record that is not there", link.name)

    return references_hold


def refusal(model: type[models.Model], key: Any, reason: str, field: str | None = None) -> Refusal:
    """A refusal of one row, as validators give it."""
    return Refusal(model._meta.label_lower, shown(key), reason, field)


def shown(key: Any) -> int | str | None:
    """A key as it is written down."""
    return key if key is None or isinstance(key, int) else str(key)
