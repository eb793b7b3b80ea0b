"""System checks of the mirror."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

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
