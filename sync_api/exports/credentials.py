"""A target's password at rest: sealed with a key derived from SYNC_EXPORT_KEY, or from SECRET_KEY without it.

It is bound to the origin and the user it was given for: whoever changes the address of a configuration does not send
the old password to a new place. No answer, page or log ever shows it.
"""

from __future__ import annotations

import base64

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from sync_api.exceptions import ExportCredentialsUnreadable
from sync_api.exports.targets import origin
from sync_api.models import ExportConfiguration

PURPOSE = b"syncserver export credentials v1"


def set_password(configuration: ExportConfiguration, password: str) -> None:
    """Seal `password` for the configuration's present target and user; '' removes it. Does not save."""
    told = {"for": bound_to(configuration), "password": password}
    configuration.sealed_password = sealer().encrypt(orjson.dumps(told)).decode() if password else ""


def read_password(configuration: ExportConfiguration) -> str:
    """For sending only. ExportCredentialsUnreadable when it does not open, or was given for another target."""
    if not configuration.sealed_password:
        return ""
    try:
        told = orjson.loads(sealer().decrypt(configuration.sealed_password.encode()))
    except InvalidToken:
        what = "does not open with this installation's key"
        raise ExportCredentialsUnreadable(name=configuration.name, what=what) from None
    if told["for"] != bound_to(configuration):
        raise ExportCredentialsUnreadable(name=configuration.name, what="was given for another target or user")
    return str(told["password"])


def is_password_fit(configuration: ExportConfiguration) -> bool:
    """Whether the sealed password, if there is one, can be used for the present target."""
    try:
        read_password(configuration)
    except ExportCredentialsUnreadable:
        return False
    return True


def bound_to(configuration: ExportConfiguration) -> list[str]:
    return [str(configuration.pk), origin(configuration.target_url), configuration.target_user]


def sealer() -> MultiFernet:
    """Seals with the present key and opens with former ones too (SECRET_KEY_FALLBACKS)."""
    own = str(getattr(settings, "SYNC_EXPORT_KEY", ""))
    secrets = [own] if own else []
    secrets += [str(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([Fernet(derived(secret)) for secret in secrets])


def derived(secret: str) -> bytes:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(key)
