"""The bare address leads to the page that the installation's people need."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client


@pytest.mark.parametrize(
    ("role", "page"), [("client", "/laptop/"), ("relay", "/reconcile/"), ("server", "/admin/"), (None, "/admin/")]
)
def test_the_bare_address_leads_to_the_roles_own_page(
    client: Client, settings: Any, role: str | None, page: str
) -> None:
    settings.SYNC_DATABASES = {"default": {"role": role, "device": "station", "capture": False}}
    settings.SYNC_SERVER_DATABASE = "default"
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, page)
