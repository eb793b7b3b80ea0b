"""A payload as people read it: a table of fields and values instead of an array."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from sync_api.schema.decoding import read_payload, read_value

VALUE_LENGTH_SHOWN_MAX = 2_000
NULL = mark_safe("<em>null</em>")


def payload_table(description: dict[str, Any] | None, payload: str | None, storage: str) -> SafeString | str:
    """HTML table of `payload`, decoded by its description; what does not decode is shown as it came."""
    if payload is None:
        return "-"
    try:
        raw = read_payload(description or {"fields": []}, payload)
    except (ValueError, KeyError, TypeError):
        return format_html("<code>{}</code>", shorten(payload))
    label = str(description["label"]) if description else ""
    kinds = {name: kind for name, kind, _ in description["fields"]} if description else {}
    rows = [
        (name, kinds[name], shown(kinds[name], value, field_of(label, name), storage)) for name, value in raw.items()
    ]
    return table("value", rows)


def schema_table(description: dict[str, Any]) -> SafeString:
    """HTML table of a model description's fields."""
    rows = [(name, kind, refers or "") for name, kind, refers in description["fields"]]
    return table("refers to", rows)


def table(last: str, rows: list[tuple[str, str, Any]]) -> SafeString:
    return format_html(
        "<table><thead><tr><th>field</th><th>kind</th><th>{}</th></tr></thead><tbody>{}</tbody></table>",
        last,
        format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
    )


def shown(kind: str, raw: Any, field: models.Field[Any, Any] | None, storage: str) -> Any:
    if raw is None:
        return NULL
    try:
        value = read_value(kind, raw, field, storage)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        value = raw
    return shorten(value.hex() if isinstance(value, bytes) else str(value))


def shorten(text: str) -> str:
    return text if len(text) <= VALUE_LENGTH_SHOWN_MAX else f"{text[:VALUE_LENGTH_SHOWN_MAX]} …"


def field_of(label: str, name: str) -> models.Field[Any, Any] | None:
    """The model's field here, if this installation knows model and field."""
    try:
        field = apps.get_model(label)._meta.get_field(name)
    except (LookupError, ValueError, FieldDoesNotExist):
        return None
    return field if isinstance(field, models.Field) else None
