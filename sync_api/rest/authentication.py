"""Who asks: `Authorization: Bearer TOKEN`, with the token of an enrolment or of a visit. Only their hashes are known.

`request.user` has `name` and `role` either way; `request.auth` is the DeviceCredential or the Visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from audit.models import Device
from sync_api import conf
from sync_api.enrolment.registration import find_credential
from sync_api.models import DeviceCredential, Visit
from sync_api.trust import find_visit

TOKEN_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Visitor:
    """A certified device on a visit, where it is not registered."""

    name: str
    role: str
    is_authenticated: bool = True
    pk: None = None


class TokenAuthentication(BaseAuthentication):
    """Authenticates a device by its token, or by the pass of its visit."""

    def authenticate(self, request: Request) -> tuple[Any, DeviceCredential | Visit] | None:
        parts = get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() != b"bearer":
            return None
        token = parts[1].decode("latin-1")
        found = holder_of(conf.server_alias(), token) if len(token) <= TOKEN_LENGTH_MAX else None
        if found is None:
            raise AuthenticationFailed("The token is not known here, or has been replaced.", code="token_unknown")
        return found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="syncserver"'


def holder_of(alias: str, token: str) -> tuple[Any, DeviceCredential | Visit] | None:
    """Whose token it is. Raises DeviceRevoked and CertificateRevoked."""
    credential = find_credential(alias, token)
    if credential is not None:
        return credential.device, credential
    visit = find_visit(alias, token)
    return None if visit is None else (visitor(alias, visit), visit)


def visitor(alias: str, visit: Visit) -> Device | Visitor:
    """The registered device of a visit's key; else what its certificate says."""
    known = DeviceCredential.objects.using(alias).select_related("device").filter(public_key=visit.public_key).first()
    if known is not None and known.device.name == visit.device:
        return known.device
    return Visitor(visit.device, visit.role)


class IsDevice(BasePermission):
    """Only a device with a token or a pass."""

    message = "A device's token is needed."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.auth, DeviceCredential | Visit)
