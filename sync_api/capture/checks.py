"""System checks of capture: what would be refused later, said at start with the remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections, models

from sync_api.capture.migrations import tables_stand
from sync_api.capture.verify import baseline_missing, capture_problems
from sync_api.conf import alias_settings, serialization_allowed
from sync_api.mixins import missing_natural_key
from sync_api.schema import kind_of, references_of, synced_models
from sync_api.schema.describe import is_synced
from sync_api.schema.kinds import is_content_type

SQLITE_DECIMAL_DIGITS_MAX = 15
SQLITE_VERSION_MIN = (3, 35, 0)
REASON_POLICIES = ("none", "optional", "required")

Messages = Iterator[CheckMessage]


@register(Tags.models)
def check_synced_models(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001 to E007 and W001, W002: every synced model, field by field."""
    chosen = None if app_configs is None else {config.label for config in app_configs}
    return [
        message
        for model in synced_models()
        if chosen is None or model._meta.app_label in chosen
        for message in check_model(model)
    ]


def check_model(model: type[models.Model]) -> Messages:
    """Everything that can be said of one synced model without a database."""
    meta = model._meta
    if isinstance(meta.pk, models.CompositePrimaryKey):
        yield Error(
            f"{meta.label} is synced and has a composite primary key.",
            hint="Give it a primary key of one field and a UniqueConstraint over the others.",
            obj=model,
            id="sync_api.E005",
        )
        return
    if not meta.auto_created:
        yield from check_natural_key(model)
        yield from check_through_tables(model)
    for field in meta.local_concrete_fields:
        yield from check_field(model, field)


def check_natural_key(model: type[models.Model]) -> Messages:
    label = model._meta.label
    missing = missing_natural_key(model)
    if missing is not None:
        on_model = missing == "natural_key()"
        yield Error(
            f"{label} is synced but has no {missing}.",
            hint="Write `def natural_key(self): return (self.code,)` on the model."
            if on_model
            else "Give it `objects = VisitManager()` with `def get_by_natural_key(self, code): "
            "return self.get(code=code)`.",
            obj=model,
            id="sync_api.E001" if on_model else "sync_api.E002",
        )
        return
    policy = getattr(model, "sync_reason", "optional")
    if policy not in REASON_POLICIES:
        yield Error(
            f"{label}.sync_reason is {policy!r}.",
            hint=f"Use one of {', '.join(REASON_POLICIES)}.",
            obj=model,
            id="sync_api.E007",
        )
    yield from check_natural_key_fields(model)


def natural_key_names(model: type[models.Model]) -> list[str] | None:
    """The fields of the natural key, as the arguments of get_by_natural_key(); None when these are no fields."""
    code = getattr(getattr(model._default_manager, "get_by_natural_key", None), "__code__", None)
    if code is None:
        return None
    names = list(code.co_varnames[1 : code.co_argcount])
    known = {field.name for field in model._meta.concrete_fields}
    return names if names and set(names) <= known else None


def check_natural_key_fields(model: type[models.Model]) -> Messages:
    names = natural_key_names(model)
    if names is None:
        return
    meta = model._meta
    fields = [meta.get_field(name) for name in names]
    for field in fields:
        if getattr(field, "null", False):
            yield CheckWarning(
                f"{meta.label}.{field.name} is part of the natural key and may be null.",
                hint="Make it null=False: two records without it cannot be told apart.",
                obj=model,
                id="sync_api.W001",
            )
    together = {frozenset(group) for group in meta.unique_together}
    together |= {
        frozenset(constraint.fields)
        for constraint in meta.total_unique_constraints
        if isinstance(constraint, models.UniqueConstraint)
    }
    alone = any(getattr(field, "unique", False) for field in fields)
    if not alone and not any(group <= set(names) for group in together):
        yield CheckWarning(
            f"{meta.label}: nothing makes its natural key ({', '.join(names)}) unique.",
            hint="Add unique=True or a UniqueConstraint over these fields.",
            obj=model,
            id="sync_api.W002",
        )


def check_field(model: type[models.Model], field: models.Field[Any, Any]) -> Messages:
    label = f"{model._meta.label}.{field.name}"
    references = references_of(model)
    if kind_of(field, references) is None:
        yield Error(
            f"{label} is a {type(field).__name__}, which cannot be captured without loss.",
            hint="Use one of Django's own column types, or keep it in a model that is not synced.",
            obj=model,
            id="sync_api.E004",
        )
        return
    if field.is_relation:
        yield from check_relation(model, field, references)
    elif isinstance(field, models.DecimalField) and field.max_digits is not None:
        on_sqlite = [alias for alias in captured_aliases() if connections[alias].vendor == "sqlite"]
        if on_sqlite and field.max_digits > SQLITE_DECIMAL_DIGITS_MAX:
            yield Error(
                f"{label} has {field.max_digits} digits; SQLite ({', '.join(on_sqlite)}) holds "
                f"{SQLITE_DECIMAL_DIGITS_MAX}.",
                hint=f"Use at most max_digits={SQLITE_DECIMAL_DIGITS_MAX}, or a CharField.",
                obj=model,
                id="sync_api.E006",
            )


def check_relation(
    model: type[models.Model], field: models.Field[Any, Any], references: dict[str, tuple[str, ...]]
) -> Messages:
    """A synced record may refer to synced records, to content types, and to declared references."""
    if is_content_type(field):
        return
    target: Any = field.related_model
    if field.name in references:
        known = {found.name for found in target._meta.concrete_fields}
        unknown = [name for name in references[field.name] if name not in known]
        if unknown or not references[field.name]:
            yield Error(
                f"{model._meta.label}.sync_references: {target._meta.label} has no field "
                f"{', '.join(unknown) or 'named'}.",
                hint=f"Name fields of {target._meta.label} that identify a row, as a tuple.",
                obj=model,
                id="sync_api.E003",
            )
    elif not is_synced(target._meta.concrete_model):
        yield Error(
            f"{model._meta.label}.{field.name} refers to {target._meta.label}, which is not synced.",
            hint=f"Sync {target._meta.label} too."
            if model._meta.auto_created
            else f'Declare it a reference: sync_references = {{"{field.name}": ("username",)}} with the fields '
            f"that identify a {target._meta.object_name}; or sync {target._meta.label} too.",
            obj=model,
            id="sync_api.E003",
        )


def check_through_tables(model: type[models.Model]) -> Messages:
    """A many-to-many table of one's own must be synced like any model."""
    for field in model._meta.local_many_to_many:
        through: Any = field.remote_field.through
        if not through._meta.auto_created and not is_synced(through):
            yield Error(
                f"{model._meta.label}.{field.name} goes through {through._meta.label}, which is not synced.",
                hint=f"Add SyncModelMixin to {through._meta.label}.",
                obj=model,
                id="sync_api.E008",
            )


def captured_aliases() -> list[str]:
    return [
        alias
        for alias in connections
        if alias_settings(alias).capture and connections[alias].vendor in ("sqlite", "postgresql")
    ]


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W003 and E009: settings that switch capture off or make it impossible."""
    messages: list[CheckMessage] = []
    if not serialization_allowed() and not settings.DEBUG:
        messages.append(
            CheckWarning(
                "ALLOW_MODEL_SERIALIZATION is off: nothing is captured, and nothing will reach the server.",
                hint="Remove the setting, or set it to True.",
                id="sync_api.W003",
            )
        )
    aliases = captured_aliases()
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN and any(
        connections[alias].vendor == "sqlite" for alias in aliases
    ):
        messages.append(
            Error(
                f"SQLite {sqlite3.sqlite_version} is too old for capture.",
                hint=f"Use Python with SQLite {'.'.join(map(str, SQLITE_VERSION_MIN))} or newer.",
                id="sync_api.E009",
            )
        )
    return messages


@register(Tags.database)
def check_triggers(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W004 and W005: what is missing in a database. Runs with `check --database ALIAS`; every push asks the same."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        if alias not in captured_aliases() or not tables_stand(alias):
            continue  # nothing can be captured before the first migrate, which installs everything
        problems, missing = capture_problems(alias), baseline_missing(alias)
        for problem in problems:
            messages.append(
                CheckWarning(
                    f"Capture in the database '{alias}': {problem}.",
                    hint=f"Run `manage.py migrate --database {alias}`, then "
                    f"`manage.py reconcile_capture --database {alias}`.",
                    id="sync_api.W004",
                )
            )
        for label in missing:
            messages.append(
                CheckWarning(
                    f"Capture in the database '{alias}': rows of {label} from before capture are not recorded.",
                    hint=f"Run `manage.py baseline --database {alias}`.",
                    id="sync_api.W005",
                )
            )
    return messages
