"""HTTP Basic against Django's users. An importing user is in the group `import`, or a superuser.

Checking a password is meant to be slow, and one entity takes several requests: a user who was found right is believed
for a minute, by a key that holds neither the password nor its hash and dies with a change of either.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from sync_api.conf import limit

ROLE = "import"
BELIEVED_SECONDS = 60.0
BELIEVED_MAX = 200
LENGTH_MAX = 1_000
believed: dict[str, float] = {}


class NotAuthenticated(Exception):
    """No user, or a wrong password."""


class NotPermitted(Exception):
    """A user without the role."""


class TooManyAttempts(Exception):
    """Too many wrong passwords from one address."""


def importing_user(request: HttpRequest, alias: str, *, role: str = ROLE) -> str:
    """The name of the user that the request shows. NotAuthenticated, NotPermitted or TooManyAttempts."""
    user = basic_user(request, alias)
    if not user.is_superuser and not user.groups.filter(name=role).exists():
        raise NotPermitted
    return str(user.get_username())


def basic_user(request: HttpRequest, alias: str) -> Any:
    """The user that the request shows. NotAuthenticated or TooManyAttempts."""
    name, password = credentials(request.headers.get("Authorization", ""))
    attempts = f"sync_import_refused:{request.META.get('REMOTE_ADDR', '')}"
    if cache.get(attempts, 0) >= limit("SYNC_IMPORT_REFUSALS_PER_MINUTE_MAX"):
        raise TooManyAttempts
    user = checked_user(alias, name, password)
    if user is None:
        cache.add(attempts, 0, 60)
        try:
            cache.incr(attempts)
        except ValueError:  # it expired in between
            cache.set(attempts, 1, 60)
        raise NotAuthenticated
    return user


def credentials(header: str) -> tuple[str, str]:
    scheme, _, told = header.partition(" ")
    if scheme.lower() != "basic" or len(told) > LENGTH_MAX:
        raise NotAuthenticated
    try:
        name, colon, password = base64.b64decode(told.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NotAuthenticated from None
    if not colon or "\0" in name + password:
        raise NotAuthenticated
    return name, password


def checked_user(alias: str, name: str, password: str) -> Any:
    model: Any = get_user_model()
    user = model._default_manager.using(alias).filter(**{model.USERNAME_FIELD: name}).first()
    if user is None or not user.is_active:
        make_password(password)  # an unknown user takes as long as a known one
        return None
    key = salted_hmac(
        "sync_api.compat.meteorpi", f"{alias}\0{user.password}\0{password}", algorithm="sha256"
    ).hexdigest()
    now = time.monotonic()
    if believed.get(key, 0.0) > now:
        return user
    if not user.check_password(password):
        return None
    if len(believed) >= BELIEVED_MAX:
        believed.clear()
    believed[key] = now + BELIEVED_SECONDS
    return user
