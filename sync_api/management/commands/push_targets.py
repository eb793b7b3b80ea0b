"""Where this device pushes besides its home server."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.push import enrolled_device
from sync_api.client.targets import (
    add_target,
    ensure_home,
    remove_target,
    reset_target,
    target_facts,
    target_words,
    targets_of,
)
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "List, add, remove or reset the installations that push_transactions sends to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=["list", "add", "remove", "reset"])
        parser.add_argument("name", nargs="?", help="The installation's own name.")
        parser.add_argument("--url", help="Its address (add).")
        parser.add_argument("--relay", action="store_true", help="It is a middleman (add).")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine (add).")
        add_database(parser)
        add_json(parser)

    def handle(self, *, action: str, name: str | None, **options: Any) -> str:
        if action != "list" and not name:
            raise CommandError(f"Say which: `push_targets {action} NAME`. See the names with `push_targets list`.")
        if action == "add" and not options["url"]:
            raise CommandError("Say where: `push_targets add NAME --url URL`.")
        alias = options["database"]
        with plain_errors():
            device = enrolled_device(alias)
            ensure_home(alias, device)
            told = self.act(alias, action, name or "", options)
            targets = [target_facts(alias, target) for target in targets_of(alias, device)]
        if options["json"]:
            return to_json({"device": device.name, "targets": targets})
        return told or "\n".join(map(target_line, targets))

    def act(self, alias: str, action: str, name: str, options: dict[str, Any]) -> str:
        if action == "add":
            url, allow_http = options["url"], options["allow_http"]
            target = add_target(alias, name, url, is_relay=options["relay"], allow_http=allow_http)
            return f"push_transactions sends to {target.name} at {target.url} as well."
        if action == "remove":
            remove_target(alias, name)
            return f"Nothing more is sent to {name}. What it holds, it keeps."
        if action == "reset":
            reset_target(alias, name)
            return f"{name} is tried again with the next push_transactions."
        return ""


def target_line(target: dict[str, Any]) -> str:
    told = f"{target_words(target)}; at {target['url']}."
    return f"{told}\n  {target['last_error']}" if target["last_error"] else told
