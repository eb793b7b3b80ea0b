"""People at the REST interface: HTTP Basic with a user of the server's database."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from sync_api import conf
from sync_api.exceptions import CredentialsRefused
from sync_api.uploads.people import NAME_LENGTH_MAX, PASSWORD_LENGTH_MAX, address_of, authenticate

BASIC_LENGTH_MAX = (NAME_LENGTH_MAX + PASSWORD_LENGTH_MAX) * 8


class UserAuthentication(BaseAuthentication):
    """A user by name and password. `request.user` is Django's user, `request.auth` None."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        parts = get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() != b"basic":
            return None
        name, password = read_basic(parts[1])
        try:
            user = authenticate(conf.server_alias(), name=name, password=password, address=address_of(request))
        except CredentialsRefused as error:
            raise AuthenticationFailed(str(error), code=error.code) from error
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="syncserver", charset="UTF-8"'


def read_basic(encoded: bytes) -> tuple[str, str]:
    try:
        if len(encoded) > BASIC_LENGTH_MAX:
            raise ValueError
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (binascii.Error, ValueError) as error:
        raise AuthenticationFailed("The user name or the password is wrong.", code="credentials_refused") from error
    return name, password


class IsUser(BasePermission):
    """Only a known user."""

    message = "A user's name and password are needed."

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.user is not None and getattr(request.user, "is_active", False))
