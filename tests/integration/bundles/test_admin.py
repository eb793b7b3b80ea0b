"""The history of bundles in the admin: to be read, with the exporter's code hidden until it was said."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from sync_api.bundles.confirmation import confirm, confirmation_of
from sync_api.models import Bundle

pytestmark = pytest.mark.django_db
SHA256 = "ab" * 32


def exported() -> Bundle:
    return Bundle.objects.create(
        direction="exported", name="a.zip", state="done", sha256=SHA256, confirmation=confirmation_of(SHA256)
    )


def test_the_list_opens_filters_and_searches(admin_client: Client) -> None:
    exported()
    for query in ("", "?q=a.zip", "?state=done", "?direction=imported"):
        assert admin_client.get(reverse("admin:sync_api_bundle_changelist") + query).status_code == 200


def test_an_exporter_does_not_read_the_code_that_the_importer_is_to_say(admin_client: Client) -> None:
    bundle = exported()
    page = reverse("admin:sync_api_bundle_change", args=[bundle.pk])
    assert bundle.confirmation not in admin_client.get(page).content.decode()
    confirm("default", bundle.confirmation)
    assert bundle.confirmation in admin_client.get(page).content.decode()


def test_nothing_can_be_changed(admin_client: Client) -> None:
    bundle = exported()
    page = reverse("admin:sync_api_bundle_change", args=[bundle.pk])
    assert admin_client.post(page, {"name": "b.zip"}).status_code == 403
    assert admin_client.get(reverse("admin:sync_api_bundle_add")).status_code == 403
