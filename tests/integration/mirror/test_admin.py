"""The admin of the audit layer: everything can be seen, nothing changed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import NoReverseMatch, reverse

from audit.admin import register_mirrors
from audit.mirror.tables import mirror_tables
from audit.models import CommitClock, Device, Source, TableChanges
from tests.integration.mirror.committing import change, commit, new_device, stamp
from tests.mirrored.models import Letter, LetterMirror

pytestmark = pytest.mark.django_db

MODELS = [Device, Source, TableChanges, CommitClock, *(table.mirror for table in mirror_tables())]


def page(model, name, *arguments):
    try:
        return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)
    except NoReverseMatch:
        pytest.skip("the project's urls have no admin")


@pytest.fixture
def device():
    device = new_device("default", "tablet-1")
    commit("default", device, [change("I", Letter, 1, (1, "first"), stamp())])
    commit("default", device, [change("U", Letter, 1, (1, "second"), stamp(5, user="bo", reason="misread"))])
    return device


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_list_opens_and_can_be_searched(admin_client, device, model):
    for query in ("", "?q=1", "?q=tablet"):
        assert admin_client.get(page(model, "changelist") + query).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_nothing_can_be_added_changed_or_deleted(admin_client, device, model):
    assert admin_client.get(page(model, "add")).status_code == 403
    row = model._default_manager.first()
    if row is None:
        return
    assert admin_client.get(page(model, "change", row.pk)).status_code == 200
    assert admin_client.post(page(model, "change", row.pk), {}).status_code == 403
    assert admin_client.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_version_shows_its_content_who_when_and_why(admin_client, device):
    first, second = LetterMirror.objects.order_by("mirror_pk")
    text = admin_client.get(page(LetterMirror, "change", second.pk)).content.decode()
    for shown in ("second", "bo", "misread", "laptop/host/default", page(LetterMirror, "change", first.pk)):
        assert shown in text


def test_a_list_shows_the_models_fields_and_filters_by_device(admin_client, device):
    text = admin_client.get(page(LetterMirror, "changelist") + "?mirror_current__exact=1").content.decode()
    assert "second" in text
    assert "first" not in text
    assert "tablet-1" in text


def test_a_user_without_the_permission_sees_no_mirror(client, device):
    user = User.objects.create_user("nurse", is_staff=True)
    client.force_login(user)
    assert client.get(page(LetterMirror, "changelist")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_lettermirror"))
    assert client.get(page(LetterMirror, "changelist")).status_code == 200


def test_mirrors_can_be_registered_on_another_site():
    from django.contrib.admin import AdminSite

    site = AdminSite(name="review")
    register_mirrors(site)
    register_mirrors(site)
    assert all(site.is_registered(table.mirror) for table in mirror_tables())
