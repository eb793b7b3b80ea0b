"""`flush`, refused where it would delete captured rows unrecorded. Tests may: they empty everything, log included."""

from __future__ import annotations

from typing import Any

from django.core import mail
from django.core.management.base import CommandError
from django.core.management.commands import flush

from sync_api.capture import not_captured
from sync_api.conf import alias_settings
from sync_api.exceptions import FlushRefused


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        alias = options["database"]
        if alias_settings(alias).capture and not hasattr(mail, "outbox"):
            raise CommandError(str(FlushRefused(alias=alias)))
        with not_captured("flush of a test database"):
            super().handle(**options)
