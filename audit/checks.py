"""System checks of the mirror."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from audit.exceptions import NotIndexable
from audit.index.registry import registrations
from audit.mirror.build import name_collisions


def check_mirror_names(**_: Any) -> list[CheckMessage]:
    """audit.E001: a model whose fields take the mirror's own names has no mirror."""
    return [
        Error(
            f"{label} cannot have a mirror: the names {', '.join(names)} are the mirror's own.",
            hint="Rename the field (not `mirror`, nor beginning with `mirror_`), or its db_column.",
            obj=label,
            id="audit.E001",
        )
        for label, names in sorted(name_collisions.items())
    ]


def check_index_fields(**_: Any) -> list[CheckMessage]:
    """audit.E002: a model is indexed by something that is no field of it."""
    try:
        registrations()
    except NotIndexable as error:
        return [Error(str(error), hint="Mend the model's `indexed`, or its register() call.", id="audit.E002")]
    return []
