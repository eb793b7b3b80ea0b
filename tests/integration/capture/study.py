"""A study of its own, in a process of its own: an app whose models change between two releases.

Run with the folder of the project, the database's settings as JSON, and the release as arguments. Prints what
the release's script returns, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODELS = """
from django.db import models
from sync_api.mixins import SyncModelMixin

class ByName(models.Manager):
    def get_by_natural_key(self, name):
        return self.get(name=name)

class Form(SyncModelMixin, models.Model):
    name = models.CharField(max_length=20, unique=True)
    {fields}
    objects = ByName()

    def natural_key(self):
        return (self.name,)
"""
FIELDS = {
    "1": "weight = models.IntegerField(default=0)\n    gone = models.TextField(default='x')",
    "2": "grams = models.FloatField(default=0)\n    place = models.CharField(max_length=10, default='here')",
}
DATA_MIGRATION = """
from django.db import migrations, models

def write(apps, schema_editor):
    Form = apps.get_model("form", "Form")
    Form.objects.using(schema_editor.connection.alias).filter(name="a").update(grams=7.5)
    Form.objects.using(schema_editor.connection.alias).filter(name="b").delete()
    Form.objects.using(schema_editor.connection.alias).get_or_create(name="by migration")

def remake_the_log(apps, schema_editor):
    Log = apps.get_model("sync_api", "OutgoingTransaction")
    old = Log._meta.get_field("user")
    new = models.CharField(max_length=500, null=True)
    new.set_attributes_from_name("user")
    new.model = Log
    schema_editor.alter_field(Log, old, new)

class Migration(migrations.Migration):
    dependencies = [("form", "0002_release"), ("sync_api", "0001_initial")]
    operations = [migrations.RunPython(write), migrations.RunPython(remake_the_log)]
"""


def set_up(folder: Path, database: dict[str, Any], release: str) -> None:
    import django
    from django.conf import settings

    (folder / "form" / "migrations").mkdir(parents=True, exist_ok=True)
    (folder / "form" / "__init__.py").touch()
    (folder / "form" / "migrations" / "__init__.py").touch()
    (folder / "form" / "models.py").write_text(MODELS.format(fields=FIELDS[release]))
    sys.path.insert(0, str(folder))
    settings.configure(
        SECRET_KEY="x",
        USE_TZ=True,
        SYNC_DEVICE="laptop-9",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "audit", "sync_api", "form"],
        DATABASES={"default": database},
        SILENCED_SYSTEM_CHECKS=["sync_api.W004"],
    )
    django.setup()


def log(after: int = 0) -> list[dict[str, Any]]:
    from sync_api.models import OutgoingTransaction

    return [
        {
            "action": tx.action,
            "key": tx.tx_pk,
            "reason": tx.reason,
            "user": tx.user,
            "baseline": tx.is_baseline,
            "values": dict(
                zip([name for name, _, _ in tx.schema.description["fields"]], json.loads(tx.payload or ""), strict=True)
            ),
        }
        for tx in OutgoingTransaction.objects.filter(id__gt=after).order_by("id").select_related("schema")
    ]


def first_release(folder: Path) -> Any:
    from django.core.management import call_command

    call_command("makemigrations", "form", verbosity=0)
    call_command("migrate", verbosity=0)
    from form.models import Form  # type: ignore[import-not-found]

    for name in "abc":
        Form.objects.create(name=name, weight=3)
    return log()


def second_release(folder: Path) -> Any:
    from django.core.management import call_command

    from sync_api.capture.verify import baseline_missing, capture_problems

    call_command("makemigrations", "form", name="release", verbosity=0, interactive=False)
    (folder / "form" / "migrations" / "0003_data.py").write_text(DATA_MIGRATION)
    before = capture_problems("default")
    call_command("migrate", verbosity=0)
    from form.models import Form

    Form.objects.create(name="after", grams=1.5)
    return {
        "before": before,
        "after": [*capture_problems("default"), *baseline_missing("default")],
        "log": log(after=3),
        "rows": list(Form.objects.order_by("id").values()),
    }


def back_again(folder: Path) -> Any:
    """Half of the second release is taken back, under its own code."""
    from django.core.management import call_command

    from sync_api.capture.verify import capture_problems

    (folder / "form" / "migrations" / "0003_data.py").write_text(
        DATA_MIGRATION.replace("RunPython(write)", "RunPython(write, migrations.RunPython.noop)").replace(
            "RunPython(remake_the_log)", "RunPython(remake_the_log, migrations.RunPython.noop)"
        )
    )
    call_command("migrate", "form", "0001", verbosity=0)
    problems = capture_problems("default")
    call_command("migrate", verbosity=0)
    return {"back": problems, "forth": capture_problems("default")}


SCRIPTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "first_release": ("1", first_release),
    "second_release": ("2", second_release),
    "back_again": ("2", back_again),
}

if __name__ == "__main__":
    where, settings_json, script = sys.argv[1:]
    release, run = SCRIPTS[script]
    set_up(Path(where), json.loads(settings_json), release)
    print(json.dumps(run(Path(where)), default=str))
