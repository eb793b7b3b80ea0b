"""On the server: register a device and print its one-time enrolment code."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.models import Device
from sync_api import conf
from sync_api.enrolment.registration import add_device
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Register a device and print a one-time code for it. Run again for a new code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Letters, digits, dots, hyphens and underscores; 64 at most.")
        parser.add_argument("--role", choices=Device.Role.values, help="client (the default), relay or server.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            new = add_device(options["database"], options["name"], role=options["role"], by="add_device")
        if options["json"]:
            return to_json({"device": new.device, "code": new.code, "expires_at": new.expires_at.isoformat()})
        return (
            f"Device {new.device} may enrol once with this code:\n\n    {new.code}\n\n"
            f"It is valid until {new.expires_at:%Y-%m-%d %H:%M} UTC and shown only now. On the device:\n"
            f"    manage.py enrol --server https://THIS-SERVER --code {new.code}"
        )
