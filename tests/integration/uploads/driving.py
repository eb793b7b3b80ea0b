"""Ways to upload a tablet's database: in one step and stepwise, through the operations themselves."""

from __future__ import annotations

import itertools
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model

from audit.index import check_index
from audit.mirror.columns import NOW
from audit.mirror.tables import table_for
from audit.models import Device
from sync_api.finalizing.forcing import force_finalize
from sync_api.uploads import operations
from tests.integration.uploads.scripts import BY_RECORD, TABLES, Counts, changes_only

numbers = itertools.count(1)


def new_device(alias: str, name: str = "", *, kind: str = Device.Kind.STATE) -> Device:
    return Device.objects.using(alias).create(name=name or f"tablet-{next(numbers)}", kind=kind)


def new_user(alias: str, name: str = "") -> Any:
    manager = get_user_model().objects.db_manager(alias)
    return manager.create_superuser(name or f"nurse-{next(numbers)}", password="a-long-secret")


def mirror(table: str) -> Any:
    model = next(model for model in apps.get_app_config("camcops").get_models() if model._meta.db_table == table)
    return table_for(model).mirror


class Uploads:
    """A device and its user on one server."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.device = new_device(alias)
        self.user = new_user(alias)

    def force_finalize(self) -> Counts:
        forced = force_finalize(self.alias, self.device.name, reason="the script says so")
        return {apps.get_model(label)._meta.db_table: {"preserved": count} for label, count in forced.records.items()}

    def versions(self, table: str) -> Any:
        """Every version of the device in one table, oldest first."""
        return mirror(table).objects.using(self.alias).for_device(self.device).order_by("mirror_pk")

    def standing(self) -> dict[str, tuple[int, int]]:
        """Records by table: of the era NOW, and preserved. The index is compared with one rebuilt from nothing."""
        assert check_index(self.alias) == (0, [])
        found = {}
        for table in TABLES:
            eras = list(self.versions(table).current().values_list("mirror_era", flat=True))
            if eras:
                found[table] = (eras.count(NOW), len(eras) - eras.count(NOW))
        return found

    def start(self, **options: Any) -> str:
        return operations.start_upload(self.alias, user=self.user, device=self.device, **options).upload_id

    def do(self, operation: str, upload: str, **options: Any) -> dict[str, Any]:
        """One step of an open upload by its operation's name; the answer's body."""
        return getattr(operations, operation)(self.alias, user=self.user, upload=upload, **options).body

    def whole(self, tables: dict[str, Any], **options: Any) -> operations.Reply:
        return operations.upload_entire_database(
            self.alias, user=self.user, device=self.device, tables=tables, **options
        )


class OneStep(Uploads):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        return changes_only(self.whole(tables, preserving=preserving).body["tables"])


class Stepwise(Uploads):
    """As the seed describes a client: empty tables together, small ones whole, large ones record by record."""

    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        upload = self.start()
        if preserving:
            self.do("start_preservation", upload)
        self.do("upload_empty_tables", upload, tables=[table for table, rows in tables.items() if not rows])
        for table, rows in tables.items():
            if rows and table in BY_RECORD:
                self.by_record(upload, table, rows)
            elif rows:
                self.do("upload_table", upload, table=table, rows=rows)
        return changes_only(self.do("end_upload", upload)["tables"])

    def by_record(self, upload: str, table: str, rows: list[dict[str, Any]]) -> None:
        keys = [row["id"] for row in rows]
        self.do("delete_where_key_not", upload, table=table, keys=keys)
        wanted = self.do(
            "which_keys_to_send",
            upload,
            table=table,
            keys=keys,
            modified=[row["when_last_modified"] for row in rows],
            moved=[row.get("_move_off_tablet") for row in rows],
        )["keys"]
        for row in rows:
            if row["id"] in wanted:
                self.do("upload_record", upload, table=table, row=row)
