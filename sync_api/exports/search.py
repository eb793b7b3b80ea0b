"""A search as data: `{"all": [{"field": "period", "op": "gte", "value": 5}]}`, each condition checked on the model.

Names and operators come from fixed lists and values are parameters, so nothing from outside becomes SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from sync_api.conf import limit
from sync_api.exceptions import ExportSearchInvalid

OPERATORS = {
    "eq": "exact",
    "ne": "exact",
    "lt": "lt",
    "lte": "lte",
    "gt": "gt",
    "gte": "gte",
    "in": "in",
    "contains": "contains",
    "startswith": "startswith",
    "isnull": "isnull",
}
TEXT_OPERATORS = frozenset({"contains", "startswith"})
MEMBERS = frozenset({"field", "op", "value"})
TEXT_LENGTH_MAX = 2_000

Searchable: TypeAlias = "Mapping[str, tuple[str, models.Field[Any, Any]]]"
"""By the name in a search: the path for the ORM, and the field that cleans values."""


def conditions(search: object, fields: Searchable) -> Q:
    """The search as a filter. ExportSearchInvalid says which condition is wrong, and how."""
    if not isinstance(search, dict) or set(search) - {"all"}:
        raise ExportSearchInvalid(where="the top", what='it is {"all": [conditions]}, or {} for everything')
    listed = search.get("all", [])
    if not isinstance(listed, list) or len(listed) > limit("SYNC_EXPORT_CONDITIONS_MAX"):
        raise ExportSearchInvalid(where="all", what=f"a list of at most {limit('SYNC_EXPORT_CONDITIONS_MAX')}")
    found = Q()
    for place, condition in enumerate(listed):
        found &= one_condition(condition, fields, f"all[{place}]")
    return found


def one_condition(condition: object, fields: Searchable, where: str) -> Q:
    if not isinstance(condition, dict) or set(condition) != MEMBERS:
        raise ExportSearchInvalid(where=where, what="a condition has field, op and value")
    name, operator, value = condition["field"], condition["op"], condition["value"]
    if not isinstance(name, str) or name not in fields:
        raise ExportSearchInvalid(where=where, what=f"the fields are {', '.join(sorted(fields))}")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ExportSearchInvalid(where=where, what=f"the operators are {', '.join(OPERATORS)}")
    path, field = fields[name]
    test = Q(**{f"{path}__{OPERATORS[operator]}": cleaned(value, operator, field, where)})
    return ~test if operator == "ne" else test


def cleaned(value: object, operator: str, field: models.Field[Any, Any], where: str) -> Any:
    if operator == "isnull":
        if not isinstance(value, bool):
            raise ExportSearchInvalid(where=where, what="isnull takes true or false")
        return value
    if operator == "in":
        most = limit("SYNC_EXPORT_VALUES_MAX")
        if not isinstance(value, list) or len(value) > most:
            raise ExportSearchInvalid(where=where, what=f"in takes a list of at most {most}")
        return [one_value(one, field, where) for one in value]
    if operator in TEXT_OPERATORS and (
        not isinstance(value, str) or not isinstance(field, models.CharField | models.TextField)
    ):
        raise ExportSearchInvalid(where=where, what=f"{operator} compares a text")
    return one_value(value, field, where)


def one_value(value: object, field: models.Field[Any, Any], where: str) -> Any:
    """A value as the field understands it. A moment needs its time zone."""
    wrong = ExportSearchInvalid(where=where, what=f"the value is not one of a {type(field).__name__}")
    if not isinstance(value, str | int | float | bool):
        raise wrong
    if isinstance(value, str) and (len(value) > TEXT_LENGTH_MAX or "\0" in value):
        raise wrong
    try:
        known = field.to_python(value)
        field.get_prep_value(known) if not isinstance(known, datetime) else None
    except (ValidationError, ValueError, TypeError, OverflowError, ArithmeticError):
        raise wrong from None
    if isinstance(known, datetime) and known.tzinfo is None:
        raise ExportSearchInvalid(where=where, what="a moment needs a time zone: 2026-05-01T12:00:00Z")
    if isinstance(known, int) and not -(2**63) <= known < 2**63:
        raise wrong
    return known


def searchable(fields: list[models.Field[Any, Any]]) -> dict[str, tuple[str, models.Field[Any, Any]]]:
    """What can be searched of a table: its columns with values that compare."""
    left_out = (models.JSONField, models.BinaryField)
    return {
        field.name: (field.attname if field.is_relation else field.name, compared(field))
        for field in fields
        if not isinstance(field, left_out)
    }


def compared(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    return compared(field.target_field) if field.is_relation else field  # type: ignore[attr-defined]
