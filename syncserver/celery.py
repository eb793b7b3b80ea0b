"""The exports as a Celery schedule, for those who have a broker: `celery -A syncserver.celery worker --beat`.

Needs the extra `celery` and CELERY_BROKER_URL. Without a broker, `export_entities` by cron or `--follow` does the same.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncserver.settings")


def new_app() -> Celery:
    """The application, with the exporter every SYNC_EXPORT_MARK_SECONDS. ImproperlyConfigured without a broker."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from sync_api.conf import limit

    if not settings.CELERY_BROKER_URL:
        raise ImproperlyConfigured("Celery needs a broker. Set CELERY_BROKER_URL, or run `export_entities` by cron.")
    made = Celery("syncserver", broker=settings.CELERY_BROKER_URL)
    seconds = float(limit("SYNC_EXPORT_MARK_SECONDS"))
    schedule = {"task": "syncserver.export_entities", "schedule": seconds, "options": {"expires": seconds}}
    made.conf.update(beat_schedule={"export_entities": schedule}, task_ignore_result=True, timezone="UTC")
    made.task(name="syncserver.export_entities")(export_entities)
    return made


def export_entities(database: str = "default") -> str:
    """One run of the exporter. Several at once do no harm: they lease their tasks."""
    import django

    django.setup()
    from sync_api.client.export_line import ExportClient
    from sync_api.exports.exporter import Exporter

    with ExportClient() as client:
        return Exporter(database, client.connect).run().sentence


def __getattr__(name: str) -> Any:
    """`app` is made when Celery asks for it."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = new_app()
    return globals()["app"]
