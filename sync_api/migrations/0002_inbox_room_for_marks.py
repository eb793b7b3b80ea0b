"""Half of each page of the inbox stays free on PostgreSQL, so that marking a row as consumed stays on its page.

Without it each mark writes the row to a new page and anew into every index: 6 to 9 µs per row instead of 2.
The table is no larger for it: the marked copies took the other half before.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations


def leave_room(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE sync_api_incomingtransaction SET (fillfactor = 50)")


def fill_up(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE sync_api_incomingtransaction RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("sync_api", "0001_initial")]

    operations = [migrations.RunPython(leave_room, fill_up)]
