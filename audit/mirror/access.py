"""`Visit.mirror`: the way from a model to its mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db import models

    from audit.mirror.queryset import MirrorManager


class MirrorAccess:
    """Descriptor: the mirror's manager, the same one each time. Read on the class, not on an instance."""

    def __init__(self, mirror: type[models.Model]) -> None:
        self.mirror = mirror

    def __get__(self, instance: Any, owner: type[models.Model]) -> MirrorManager[Any]:
        if instance is not None:
            raise AttributeError(f"Read the mirror on the class: {owner.__name__}.mirror, not on an instance.")
        return self.mirror.objects  # type: ignore[attr-defined, no-any-return]
