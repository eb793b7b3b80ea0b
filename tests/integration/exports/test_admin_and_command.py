"""The operator's side: the admin's form and lists, and `export_entities`. Credentials never come out."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from sync_api.exports.credentials import read_password
from sync_api.models import ExportConfiguration, ImportSession

pytestmark = pytest.mark.django_db

ADD = "admin:sync_api_exportconfiguration_add"
CHANGE = "admin:sync_api_exportconfiguration_change"
SECRET = "a secret of the target"


@pytest.fixture
def operator(settings: Any) -> Client:
    settings.SYNC_EXPORT_TARGETS = ["target.example", "other.example"]
    client = Client()
    client.force_login(get_user_model()._default_manager.create_superuser("operator", password="pw"))
    return client


def form(**facts: Any) -> dict[str, Any]:
    usual = {
        "name": "open sites",
        "entity_type": "mirrored.Site",
        "search": "{}",
        "protocol": "records",
        "target_url": "https://target.example/in",
        "target_user": "us",
        "password": SECRET,
        "is_enabled": "on",
    }
    return {**usual, **facts}


def saved(client: Client, **facts: Any) -> ExportConfiguration:
    assert client.post(reverse(ADD), form(**facts)).status_code == 302
    return ExportConfiguration.objects.get()


def test_a_configuration_is_made_and_its_password_never_shown(operator: Client) -> None:
    made = saved(operator)
    assert read_password(made) == SECRET
    pages = [
        operator.get(reverse(CHANGE, args=[made.pk])),
        operator.get(reverse("admin:sync_api_exportconfiguration_changelist")),
        operator.get(reverse("admin:sync_api_exportconfiguration_history", args=[made.pk])),
    ]
    for page in pages:
        assert page.status_code == 200
        assert SECRET not in page.content.decode()
        assert made.sealed_password not in page.content.decode()


def test_another_target_needs_the_password_again(operator: Client) -> None:
    made = saved(operator)
    address = reverse(CHANGE, args=[made.pk])
    moved = form(target_url="https://other.example/in", password="")
    refused = operator.post(address, moved)
    assert refused.status_code == 200
    assert "Enter it again" in refused.content.decode()
    assert operator.post(address, form(password="", description="the same target")).status_code == 302
    made.refresh_from_db()
    assert read_password(made) == SECRET
    assert operator.post(address, {**moved, "forget_password": "on"}).status_code == 302
    made.refresh_from_db()
    assert made.sealed_password == ""


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"target_url": "https://internal.example/"}, "SYNC_EXPORT_TARGETS"),
        ({"entity_type": "auth.User"}, "cannot be exported"),
        ({"search": '{"all": [{"field": "x", "op": "eq", "value": 1}]}'}, "The search is not valid"),
        ({"search": "[1]"}, "The search is not valid"),
        ({"search": "{"}, "valid JSON"),
        ({"protocol": "meteorpi"}, "another protocol"),
    ],
)
def test_the_form_says_what_is_wrong(operator: Client, facts: dict[str, Any], text: str) -> None:
    answer = operator.post(reverse(ADD), form(**facts))
    assert answer.status_code == 200
    assert text in answer.content.decode()
    assert not ExportConfiguration.objects.exists()


def test_actions_switch_configurations(operator: Client) -> None:
    made = saved(operator)
    ExportConfiguration.objects.update(is_enabled=False, failures=4, disabled_at=made.created_at, last_error="down")
    address = reverse("admin:sync_api_exportconfiguration_changelist")
    for action, expected in (("enable", (True, 0)), ("disable", (False, 0)), ("retry_given_up", (False, 0))):
        chosen = {"action": action, "_selected_action": [str(made.pk)]}
        assert operator.post(address, chosen).status_code == 302
        made.refresh_from_db()
        assert (made.is_enabled, made.failures) == expected


def test_half_received_values_are_not_shown(operator: Client) -> None:
    session = ImportSession.objects.create(user="u", entity_type="event", entity_id="a" * 32, body={"secret": SECRET})
    page = operator.get(reverse("admin:sync_api_importsession_change", args=[session.pk]))
    assert page.status_code == 200
    assert SECRET not in page.content.decode()


def test_the_command(operator: Client) -> None:
    def run(*arguments: str) -> str:
        output = StringIO()
        call_command("export_entities", *arguments, stdout=output)
        return output.getvalue()

    saved(operator, is_enabled="")
    assert "nothing was due" in run()
    assert json.loads(run("--json"))["marked"] == 0
    assert "disabled, 0 pending" in run("--list")
    listed = json.loads(run("--list", "--json"))["configurations"]
    assert listed[0]["target_host"] == "target.example"
    assert SECRET not in str(listed)
    assert "is enabled" in run("--enable", "open sites")
    assert ExportConfiguration.objects.get().is_enabled
    assert "is disabled" in run("--disable", str(ExportConfiguration.objects.get().pk))
    assert "0 tasks" in run("--retry-dead", "open sites")
    with pytest.raises(CommandError, match="no export configuration 'other'"):
        run("--enable", "other")


def test_celery_runs_the_exporter(settings: Any) -> None:
    pytest.importorskip("celery", reason="the extra `celery` is not installed")
    from django.core.exceptions import ImproperlyConfigured

    from syncserver import celery

    settings.CELERY_BROKER_URL = ""
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL"):
        celery.new_app()
    settings.CELERY_BROKER_URL = "memory://"
    app = celery.new_app()
    assert app.conf.beat_schedule["export_entities"]["schedule"] == 300.0
    result = app.tasks["syncserver.export_entities"].apply()
    assert result.get() == "Marked 0 entities; nothing was due."
