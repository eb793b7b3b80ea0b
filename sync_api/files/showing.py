"""The file of a mirrored record, as the admin shows it: a picture, a link, or why there is none."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.mirror.columns import MirrorRow
from audit.mirror.tables import MirrorTable
from audit.presenting import Presented
from sync_api.files.fields import file_fields
from sync_api.files.reading import FileState, file_of

PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
PICTURE_PIXELS_MAX = 320


@cache
def present_file(table: MirrorTable, column: str) -> Presented | None:
    """For `audit.presenting`: shows the columns that hold files."""
    if column not in file_fields().get(table.label, {}):
        return None

    @admin.display(description=column, ordering=column, empty_value="-")
    def shown(row: MirrorRow) -> SafeString | str | None:
        return file_cell(row, column)

    shown.__name__ = column
    return shown


def file_cell(row: Any, field: str) -> SafeString | str | None:
    if not getattr(row, field):
        return None
    file = file_of(row._state.db, row, field)
    if file.state != "here":
        return format_html("{} <em>({})</em>", file.name, file.words)
    url = reverse("sync_files:version", args=[row.mirror_of._meta.label_lower, row.mirror_pk, field])
    link = format_html('<a href="{}">{}</a> ({})', url, file.name, filesizeformat(file.size))
    return format_html("{}<br>{}", picture(url, file), link) if file.media_type in PICTURES else link


def picture(url: str, file: FileState) -> SafeString:
    style = f"max-width:{PICTURE_PIXELS_MAX}px;max-height:{PICTURE_PIXELS_MAX}px"
    return format_html('<img src="{}" alt="{}" loading="lazy" style="{}">', url, file.name, style)
