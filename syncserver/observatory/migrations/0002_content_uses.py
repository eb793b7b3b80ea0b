"""Every file that is recorded already keeps its bytes from being cleaned up: see `syncserver.observatory.contents`."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.db import migrations

USER = "observatory.file"
AT_ONCE = 1_000


def name_contents(apps: Any, schema_editor: Any) -> None:
    """One use per record. Bytes are not touched: they are read where they are until `adopt_files` moves them."""
    alias = schema_editor.connection.alias
    uses = apps.get_model("sync_api", "ContentUse").objects.using(alias)
    records = apps.get_model("observatory", "FileRecord").objects.using(alias)
    named = records.values_list("file_id", "sha256").order_by("file_id").iterator(chunk_size=AT_ONCE)
    while part := list(islice(named, AT_ONCE)):
        rows = [uses.model(user=USER, key=file_id.hex, sha256=sha256) for file_id, sha256 in part]
        uses.bulk_create(rows, ignore_conflicts=True)


def forget_contents(apps: Any, schema_editor: Any) -> None:
    uses = apps.get_model("sync_api", "ContentUse").objects.using(schema_editor.connection.alias)
    uses.filter(user=USER).delete()


class Migration(migrations.Migration):
    dependencies = [("observatory", "0001_initial"), ("sync_api", "0010_exports")]

    operations = [migrations.RunPython(name_contents, forget_contents)]
