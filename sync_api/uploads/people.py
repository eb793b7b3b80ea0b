"""Who asks: a user of the server's own database by name and password. Wrong tries are limited per address.

The users are those of the database that is served, not of Django's default one, so that one process can serve
another database; with one database they are the same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core import signing
from django.core.cache import cache
from django.utils.crypto import constant_time_compare, salted_hmac

from sync_api import conf
from sync_api.exceptions import CredentialsRefused, TooManyTries

NAME_LENGTH_MAX = 150
PASSWORD_LENGTH_MAX = 1_000
TRIES_SECONDS = 60
SESSION_SALT = "sync_api.uploads.session"
PAIR_SALT = "sync_api.uploads.password"


def authenticate(alias: str, *, name: str, password: str, address: str) -> Any:
    """The active user of that name and password. Raises CredentialsRefused, or TooManyTries before any is looked at.

    A pair that was right is known again for SYNC_SESSION_SECONDS, in Django's cache and by a keyed hash: hashing a
    password anew for each of an upload's steps would take longer than the step. It ends when the password is changed.
    """
    pair = salted_hmac(PAIR_SALT, json.dumps([alias, name, password]), algorithm="sha256").hexdigest()
    known = f"sync_password:{pair}"
    held = cache.get(known)
    if held is not None:
        user = user_named(alias, name)
        if user is not None and user.is_active and constant_time_compare(held, proof_of(user)):
            return user
    with limited_tries("password", address, "SYNC_PASSWORD_TRIES_PER_MINUTE_MAX", counted=CredentialsRefused):
        user = checked(alias, name, password)
    cache.set(known, proof_of(user), conf.limit("SYNC_SESSION_SECONDS"))
    return user


def checked(alias: str, name: str, password: str) -> Any:
    if len(name) > NAME_LENGTH_MAX or len(password) > PASSWORD_LENGTH_MAX:
        raise CredentialsRefused
    user = user_named(alias, name)
    if user is None:
        make_password(password)  # as long as a known user's check takes
        raise CredentialsRefused
    if not user.check_password(password) or not user.is_active:
        raise CredentialsRefused
    return user


def proof_of(user: Any) -> str:
    """Another one when the user's password is another."""
    return f"{user.pk}:{user.get_session_auth_hash()[:32]}"


def address_of(request: Any) -> str:
    """Where a request came from. X-Forwarded-For counts only where REST_FRAMEWORK["NUM_PROXIES"] says who wrote it."""
    remote = str(request.META.get("REMOTE_ADDR", ""))
    proxies: int | None = getattr(settings, "REST_FRAMEWORK", {}).get("NUM_PROXIES")
    header = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
    forwarded = [one.strip() for one in header.split(",") if one.strip()]
    if not proxies or not forwarded:
        return remote
    return forwarded[-min(proxies, len(forwarded))]


def user_named(alias: str, name: str) -> Any:
    """The user of that name in this database, or None."""
    if "\0" in name:  # PostgreSQL takes no text with it
        return None
    model = get_user_model()
    return model._default_manager.using(alias).filter(**{model.USERNAME_FIELD: name}).first()


class limited_tries:  # noqa: N801 (a context manager, read as a verb)
    """Inside, errors of the class `counted` count as wrong tries from this address; too many raise TooManyTries.

    Kept in Django's cache, for a minute from the first.
    """

    def __init__(self, what: str, address: str, setting: str, *, counted: type[Exception]) -> None:
        self.setting = setting
        self.counted = counted
        self.key = f"sync_tries:{what}:{hashlib.sha256(address.encode()).hexdigest()[:32]}"

    def __enter__(self) -> None:
        if int(cache.get(self.key, 0)) >= conf.limit(self.setting):
            raise TooManyTries(seconds=TRIES_SECONDS)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None or not issubclass(kind, self.counted) or cache.add(self.key, 1, TRIES_SECONDS):
            return
        with suppress(ValueError):  # it has run out just now
            cache.incr(self.key)


def session_token(user: Any, *, session_id: str) -> str:
    """A token that stands for the user's password for a while; it ends when the password is changed."""
    facts = {"id": session_id, "proof": proof_of(user)}
    return signing.dumps(facts, salt=SESSION_SALT, compress=False)


def user_of_session(alias: str, *, name: str, session_id: str, token: str) -> Any:
    """The active user whom the token was given to, or None: then the password has to be looked at."""
    try:
        facts = signing.loads(token, salt=SESSION_SALT, max_age=conf.limit("SYNC_SESSION_SECONDS"))
    except signing.BadSignature:
        return None
    user = user_named(alias, name)
    if user is None or not user.is_active or facts["id"] != session_id:
        return None
    return user if constant_time_compare(facts["proof"], proof_of(user)) else None
