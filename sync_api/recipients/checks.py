"""The system check of what is sealed to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register

from sync_api.exceptions import SealedModelsInvalid
from sync_api.recipients.choosing import sealed_models


@register(Tags.models)
def check_sealed_models(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E010: a misspelt label would let payloads pass in the open, so sealing refuses it; said at start."""
    try:
        sealed_models()
    except SealedModelsInvalid as error:
        hint = 'Write {"study.visit": ["server-1"]}: labels of synced models (or "*") and recipients\' names.'
        return [Error(f"SYNC_SEALED_MODELS is not valid: {error.what}.", hint=hint, id="sync_api.E010")]
    return []
