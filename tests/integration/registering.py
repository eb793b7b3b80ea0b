"""What tests of uploads share: a registry of their own, groups, users with rights, and requests over REST."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from sync_api.uploads.registry import Registry, registry

PASSWORD = "a-long-secret"
numbers = itertools.count(1)


@contextmanager
def empty_registry() -> Iterator[None]:
    """Inside, nothing is registered but what the test registers."""
    fresh = Registry()
    held = {one.name: getattr(registry, one.name) for one in fields(Registry)}
    for name in held:
        setattr(registry, name, getattr(fresh, name))
    try:
        yield
    finally:
        for name, value in held.items():
            setattr(registry, name, value)


def group(alias: str, *rights: str, name: str = "") -> Group:
    """A group whose members have these rights (`upload_records`, `register_devices`)."""
    made = Group.objects.using(alias).create(name=name or f"group-{next(numbers)}")
    made.permissions.set(
        Permission.objects.using(alias).filter(content_type__app_label="sync_api", codename__in=rights)
    )
    return made


def member(alias: str, *groups: Group, name: str = "", superuser: bool = False) -> Any:
    manager = get_user_model().objects.db_manager(alias)
    create = manager.create_superuser if superuser else manager.create_user
    user = create(name or f"person-{next(numbers)}", password=PASSWORD)
    user.groups.set(groups)
    return user


class Rest:
    """Asks /api/v1/ as one user."""

    def __init__(self, user: Any = None, *, name: str = "", password: str = PASSWORD) -> None:
        self.client = Client(enforce_csrf_checks=True)
        named = name or (user.get_username() if user is not None else "")
        basic = b64encode(f"{named}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {basic}"} if named else {}

    def get(self, path: str) -> tuple[int, Any]:
        response = self.client.get(f"/api/v1/{path}", headers=self.headers)
        return response.status_code, json.loads(response.content)

    def post(self, path: str, **body: Any) -> tuple[int, Any]:
        response = self.client.post(
            f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers=self.headers
        )
        return response.status_code, json.loads(response.content)
