"""Which models are sealed, and to whom: `SYNC_SEALED_MODELS = {"study.visit": ["server-1", "inspector-1"]}`.

"*" speaks for every model without an entry of its own, an empty list for a model that is not sealed. The table of a
many-to-many field goes with the model that declares it. The mark of chosen records names their keys, so it is sealed
to those who may read all of its sealed models; the mark of a whole era holds counts and hashes, and is not.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings

from sync_api.exceptions import MarkNotReadable, SealedModelsInvalid
from sync_api.schema.describe import is_synced
from sync_api.wire.marks import MARK_LABEL, Mark

EVERY = "*"


def sealed_models() -> dict[str, tuple[str, ...]]:
    """Names of recipients by model label (and "*"), as set. SealedModelsInvalid: nothing may pass by a misspelling."""
    setting: Any = getattr(settings, "SYNC_SEALED_MODELS", None) or {}
    if not isinstance(setting, dict):
        raise SealedModelsInvalid(what="it is not a mapping of model labels")
    return dict(map(checked_entry, setting.items()))


def checked_entry(entry: tuple[Any, Any]) -> tuple[str, tuple[str, ...]]:
    label, names = entry
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise SealedModelsInvalid(what=f"the entry {label!r} is not a list of recipients' names")
    if label == EVERY:
        return EVERY, tuple(names)
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError, AttributeError) as error:
        raise SealedModelsInvalid(what=f"there is no model {label!r}") from error
    if not is_synced(model):
        raise SealedModelsInvalid(what=f"the model {label!r} is not synced")
    return model._meta.label_lower, tuple(names)


def names_for(label: str, chosen: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """To whom the payloads of one model are sealed; nobody: not sealed."""
    if label == MARK_LABEL:
        return ()
    for candidate in (label, declaring(label), EVERY):
        if candidate in chosen:
            return chosen[candidate]
    return ()


def names_for_mark(mark: Mark, chosen: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """To whom a mark is sealed; nobody: not sealed. MarkNotReadable: some of its models have no reader in common."""
    if not mark.is_partial:
        return ()
    sealed = {label: names for label in mark.models if (names := names_for(label, chosen))}
    common = [name for name in next(iter(sealed.values()), ()) if all(name in names for names in sealed.values())]
    if sealed and not common:
        raise MarkNotReadable(models=sorted(sealed))
    return tuple(common)


def declaring(label: str) -> str:
    """The label of the model that declares this many-to-many table; empty for any other."""
    try:
        model: Any = apps.get_model(label)._meta.auto_created
    except (LookupError, ValueError):
        return ""
    return str(model._meta.label_lower) if model else ""
