"""`SyncModelMixin`: the one line that makes a model synced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.apps import apps
from django.db import models
from django.db.models.signals import class_prepared

from audit.mirror.build import build_mirror
from sync_api.exceptions import NaturalKeyMissing

if TYPE_CHECKING:
    from audit.mirror.queryset import MirrorManager


class SyncModelMixin(models.Model):
    """Declares a model as synced: its table's triggers record every change, and it gets a mirror.

    The model needs natural_key() and its default manager get_by_natural_key(); a save without them raises
    SyncError, and the system checks `sync_api.E001` and `sync_api.E002` say so at start.
    Source: the seed of edc-sync.
    """

    is_synced_model: ClassVar[bool] = True

    sync_reason: ClassVar[Literal["none", "optional", "required"]] = "optional"
    """Whether a change of this model carries a reason."""

    sync_references: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Foreign keys to models that are not synced: field name -> the referred model's natural key fields."""

    if TYPE_CHECKING:
        mirror: ClassVar[MirrorManager[Any]]

    class Meta:
        abstract = True

    def save_base(self, *args: Any, **kwargs: Any) -> None:
        require_natural_key(type(self))
        super().save_base(*args, **kwargs)


def missing_natural_key(model: type[models.Model]) -> str | None:
    """What `model` lacks to be found by its natural key: a method's name, or None when it lacks nothing."""
    if not callable(getattr(model, "natural_key", None)):
        return "natural_key()"
    manager = model._default_manager
    if not callable(getattr(manager, "get_by_natural_key", None)):
        return "get_by_natural_key() on its default manager"
    return None


def require_natural_key(model: type[models.Model]) -> None:
    """NaturalKeyMissing unless `model` has both methods; asked once per class."""
    if "_sync_natural_key" not in vars(model):
        missing = missing_natural_key(model)
        if missing is not None:
            raise NaturalKeyMissing(model=model._meta.label, missing=missing)
        model._sync_natural_key = True  # type: ignore[attr-defined]


def build_mirror_when_prepared(sender: type[models.Model], **kwargs: Any) -> None:
    """Receiver of class_prepared. Copies of the model made by migrations and by SQLite's schema editor belong to
    another registry and get no mirror."""
    meta = sender._meta
    if meta.apps is not apps or meta.abstract or meta.proxy or meta.swapped:
        return
    if getattr(sender, "is_synced_model", False):
        build_mirror(sender, references=dict(getattr(sender, "sync_references", {})))


class_prepared.connect(build_mirror_when_prepared, dispatch_uid="sync_api.build_mirror")
