"""Migrations with capture in place: triggers out before, in again after, and what happened between recorded."""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections
from django.db.migrations.operations import CreateModel

from sync_api.capture.install import install, remove
from sync_api.capture.reconcile import reconcile_capture
from sync_api.conf import alias_settings
from sync_api.models import LocalDevice

logger = logging.getLogger(__name__)


def remove_before(sender: Any, using: str, plan: Any = (), **kwargs: Any) -> None:
    """Receiver of pre_migrate for sync_api (once per run). A run without a plan leaves the triggers in place."""
    if plan and connections[using].vendor in ("sqlite", "postgresql"):
        remove(using)


def install_after(sender: Any, using: str, plan: Any = (), **kwargs: Any) -> None:
    """Receiver of post_migrate for sync_api: install, then record what the migrations wrote."""
    if connections[using].vendor not in ("sqlite", "postgresql") or not tables_stand(using):
        return
    if not alias_settings(using).capture:
        if not shares_file_with_captured(using):
            remove(using)
        return
    install(using, created=created_models(plan))
    if plan:
        found = reconcile_capture(using, reason=f"migration {plan_name(plan)}")
        if found:
            logger.info("Recorded what migrations changed", extra={"tables": sorted(found)})


def created_models(plan: Any) -> set[str]:
    """Labels of the models whose tables this run has made."""
    return {
        f"{migration.app_label}.{operation.name_lower}"
        for migration, backwards in plan
        if not backwards
        for operation in migration.operations
        if isinstance(operation, CreateModel)
    }


def tables_stand(using: str) -> bool:
    connection = connections[using]
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
    return LocalDevice._meta.db_table in present and "sync_api_outgoingtransaction" in present


def shares_file_with_captured(using: str) -> bool:
    """Whether another alias of the same database captures: its triggers must then stay."""
    name = connections[using].settings_dict["NAME"]
    return any(
        connections[alias].settings_dict["NAME"] == name and alias_settings(alias).capture
        for alias in connections
        if alias != using
    )


def plan_name(plan: Any) -> str:
    """`app.0002_name` of the last migration that was run, and how many others."""
    last, backwards = plan[-1]
    name = f"{last.app_label}.{last.name}" + (" (backwards)" if backwards else "")
    return name if len(plan) == 1 else f"{name} and {len(plan) - 1} before it"
