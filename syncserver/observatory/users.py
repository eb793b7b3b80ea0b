"""Users and their roles. Underneath they are Django's users and groups: a role is the group of its name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import DEFAULT_DB_ALIAS

from sync_api.transactions import immediate

ROLES = ("user", "import", "camera_admin")


@dataclass(frozen=True, slots=True)
class UserRoles:
    """A user's name and roles. Never the password."""

    user_id: str
    roles: tuple[str, ...]


def create_or_update_user(
    user_id: str, password: str | None, roles: Collection[str] | None, *, alias: str = DEFAULT_DB_ALIAS
) -> Literal["none", "update", "create"]:
    """What was done. None leaves password or roles as they are. Opens its own transaction.

    ValueError for a new user without password or roles, and for a role that is none.
    """
    if unknown := set(roles or ()) - set(ROLES):
        raise ValueError(f"Roles are {', '.join(ROLES)}, not {', '.join(sorted(unknown))}.")
    with immediate(alias):
        user = users(alias).filter(username=user_id).first()
        if user is None and (password is None or roles is None):
            raise ValueError(f"There is no user {user_id}: a new one needs a password and roles.")
        if user is None:
            user = users(alias).create_user(username=user_id, password=password)
            set_roles(alias, user, roles or ())
            return "create"
        if password is not None:
            user.set_password(password)
            user.save(using=alias)
        if roles is not None:
            set_roles(alias, user, roles)
    return "none" if password is None and roles is None else "update"


def set_roles(alias: str, user: Any, roles: Collection[str]) -> None:
    """Groups that are no roles stay."""
    groups = [Group.objects.using(alias).get_or_create(name=role)[0] for role in roles]
    user.groups.remove(*user.groups.filter(name__in=ROLES).exclude(name__in=roles))
    user.groups.add(*groups)


def delete_user(user_id: str, *, alias: str = DEFAULT_DB_ALIAS) -> bool:
    """Whether there was such a user."""
    removed, _ = users(alias).filter(username=user_id).delete()
    return bool(removed)


def get_user(user_id: str, password: str, *, alias: str = DEFAULT_DB_ALIAS) -> UserRoles:
    """The user, if the password is right. ValueError otherwise."""
    user = users(alias).filter(username=user_id, is_active=True).first()
    if user is None or not user.check_password(password):
        raise ValueError("There is no such user, or the password is wrong.")
    return next(one for one in get_users(alias=alias) if one.user_id == user_id)


def get_users(*, alias: str = DEFAULT_DB_ALIAS) -> list[UserRoles]:
    """All users by name. Two statements."""
    found = users(alias).order_by("username").prefetch_related("groups")
    return [
        UserRoles(user.username, tuple(sorted(group.name for group in user.groups.all() if group.name in ROLES)))
        for user in found
    ]


def users(alias: str) -> Any:
    return get_user_model()._default_manager.db_manager(alias)
