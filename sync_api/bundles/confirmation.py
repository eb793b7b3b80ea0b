"""Confirmation codes: the importer reads one out over the telephone, the exporter checks it.

A code says which file was imported, whole: it is made of the file's SHA-256. It is a word between people, for the
history; no batch is marked as delivered by it.
"""

from __future__ import annotations

import hashlib

from django.utils import timezone

from sync_api.enrolment.codes import CODE_BYTES, code_of, read_code
from sync_api.exceptions import ConfirmationUnknown
from sync_api.models import Bundle

HEADING = b"syncserver-bundle-confirmation-1\0"


def confirmation_of(sha256: str) -> str:
    """The code of the file with this hash: five words that can be read aloud."""
    return code_of(hashlib.sha256(HEADING + bytes.fromhex(sha256)).digest()[:CODE_BYTES])


def confirm(alias: str, spoken: str) -> Bundle:
    """Mark the exported file with this code as confirmed. Opens its own transaction; again it changes nothing.

    CodeMistyped, ConfirmationUnknown.
    """
    code = code_of(read_code(spoken))
    exported = Bundle.objects.using(alias).filter(direction=Bundle.Direction.EXPORTED, confirmation=code)
    exported.filter(confirmed_at=None).update(confirmed_at=timezone.now())
    bundle = exported.order_by("-at").first()
    if bundle is None:
        raise ConfirmationUnknown(code=spoken)
    return bundle
