"""Which servers are believed here, each by its key: list, pin, remove."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api import conf
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.models import TrustedServer
from sync_api.trust import trusted_servers
from sync_api.trust.pins import pin_server, unpin_server
from sync_api.wire.keys import device_keys


class Command(BaseCommand):
    help = "Pin another server's public key, remove it, or (without a name) list whom this installation believes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="The other server's name.")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--key", help="Its public key, 64 hex digits, as its own `trust_server` prints it.")
        what.add_argument("--remove", action="store_true", help="Believe it no longer.")
        parser.add_argument("--replace", action="store_true", help="With --key: in place of the key that is pinned.")
        parser.add_argument("--by", default="trust_server", help="Who pins it; kept with the key.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias, name, key = options["database"], options["name"], options["key"]
        if (name is None) == bool(key or options["remove"]):
            raise CommandError("Give a name with --key or --remove, or neither name nor option to list.")
        with plain_errors():
            if key:
                pin_server(alias, name, key, by=options["by"], replace=options["replace"])
            if options["remove"]:
                unpin_server(alias, name)
        facts = believed(alias)
        return to_json(facts) if options["json"] else "\n".join(lines(facts))


def believed(alias: str) -> dict[str, Any]:
    own = conf.alias_settings(alias).device
    pinned = set(TrustedServer.objects.using(alias).filter(is_active=True).values_list("name", flat=True))
    trusted = [
        {"name": name, "public_key": key, "why": why(name, own, pinned)}
        for name, key in sorted(trusted_servers(alias).items())
    ]
    return {"own": {"name": own, "public_key": device_keys(own).public_hex}, "trusted": trusted}


def why(name: str, own: str, pinned: set[str]) -> str:
    if name == own:
        return "itself"
    return "pinned" if name in pinned else "enrolled with it"


def lines(facts: dict[str, Any]) -> list[str]:
    own = facts["own"]
    listed = [f"  {one['name']}  {one['public_key']}  ({one['why']})" for one in facts["trusted"]]
    return [f"This is {own['name']}, key {own['public_key']}.", "Believed here:", *(listed or ["  no server"])]
