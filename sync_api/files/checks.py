"""System checks of files: a file field whose storage can give one name to other bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from sync_api.files.fields import file_fields
from sync_api.files.storage import NAME_LENGTH_MAX, ContentStorage


@register(Tags.files)
def check_file_fields(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W020: a synced model's file field is in a storage other than ContentStorage. E020: its names are too long."""
    found: list[CheckMessage] = []
    for label, fields in file_fields().items():
        for name, field in fields.items():
            if not isinstance(field.storage, ContentStorage):
                found.append(
                    CheckWarning(
                        f"{label}.{name} is synced and keeps its files in a storage of its own.",
                        hint="What a name means is then fixed only when the change is sealed: a file that is replaced "
                        "under its name before that is told as it is then. Use "
                        "sync_api.files.storage.ContentStorage, as STORAGES['default'] or on the field.",
                        obj=field,
                        id="sync_api.W020",
                    )
                )
            if (field.max_length or 0) > NAME_LENGTH_MAX:
                found.append(
                    Error(
                        f"{label}.{name} takes names of {field.max_length} characters.",
                        hint=f"Give it a max_length of at most {NAME_LENGTH_MAX}.",
                        obj=field,
                        id="sync_api.E020",
                    )
                )
    return found
