"""A device shows its token: `Authorization: Bearer TOKEN`. Only its hash is known here."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from sync_api import conf
from sync_api.enrolment.registration import find_credential
from sync_api.models import DeviceCredential

TOKEN_LENGTH_MAX = 200


class TokenAuthentication(BaseAuthentication):
    """Authenticates a device; `request.auth` is its DeviceCredential."""

    def authenticate(self, request: Request) -> tuple[Any, DeviceCredential] | None:
        parts = get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() != b"bearer":
            return None
        token = parts[1].decode("latin-1")
        credential = find_credential(conf.server_alias(), token) if len(token) <= TOKEN_LENGTH_MAX else None
        if credential is None:
            raise AuthenticationFailed("The token is not known here, or has been replaced.", code="token_unknown")
        return credential.device, credential

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="syncserver"'


class IsDevice(BasePermission):
    """Only an enrolled device."""

    message = "A device's token is needed."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, DeviceCredential)
