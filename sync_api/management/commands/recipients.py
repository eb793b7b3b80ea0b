"""To whom payloads are sealed: known keys, and this installation's own."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.recipients import refresh_recipients
from sync_api.conf import alias_settings
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.models import Recipient
from sync_api.recipients.book import add_recipient, known_recipients, retire_recipient
from sync_api.recipients.own import OwnKey, own_key, rotate_own_key

ACTIONS = ("list", "add", "retire", "own", "rotate", "refresh")


class Command(BaseCommand):
    help = "Keys to which payloads are sealed (SYNC_SEALED_MODELS): known ones, and this installation's own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
        parser.add_argument("name", nargs="?", default="", help="A recipient's name (add), or a key id (retire).")
        parser.add_argument("--key", default="", help="The recipient's public key: 64 hex digits (add).")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine (refresh).")
        add_database(parser)
        add_json(parser)

    def handle(self, *, action: str, name: str, key: str, **options: Any) -> str:
        if action in ("add", "retire") and not name:
            wanted = "add NAME --key HEX" if action == "add" else "retire KEY_ID"
            raise CommandError(f"Say which: `recipients {wanted}`.")
        with plain_errors():
            facts, sentence = getattr(self, f"do_{action}")(name=name, key=key, **options)
        return to_json(facts) if options["json"] else sentence

    def do_list(self, *, database: str, **_: Any) -> tuple[dict[str, Any], str]:
        known = list(map(facts_of, known_recipients(database)))
        lines = [
            f"{one['key_id']}  {one['name']}" + (f"  (retired {one['retired_at']})" if one["retired_at"] else "")
            for one in known
        ]
        return {"recipients": known}, "\n".join(lines) or "No recipient's key is known here."

    def do_add(self, *, name: str, key: str, database: str, **_: Any) -> tuple[dict[str, Any], str]:
        recipient = add_recipient(database, name, key, by="recipients add")
        return facts_of(recipient), f"Payloads can be sealed to {name} (key {recipient.key_id})."

    def do_retire(self, *, name: str, database: str, **_: Any) -> tuple[dict[str, Any], str]:
        recipient = retire_recipient(database, name)
        return facts_of(recipient), f"Nothing more is sealed to key {recipient.key_id} of {recipient.name}."

    def do_own(self, *, database: str, **_: Any) -> tuple[dict[str, Any], str]:
        return own_facts(own_key(alias_settings(database).device))

    def do_rotate(self, *, database: str, **_: Any) -> tuple[dict[str, Any], str]:
        facts, sentence = own_facts(rotate_own_key(alias_settings(database).device))
        return facts, f"{sentence}\nThe key before it is kept: what was sealed to it still opens."

    def do_refresh(self, *, database: str, allow_http: bool, **_: Any) -> tuple[dict[str, Any], str]:
        taken = refresh_recipients(database, allow_http=allow_http)
        told = f"{len(taken.added)} keys came into use, {len(taken.retired)} went out of use."
        return {"added": taken.added, "retired": taken.retired}, told


def facts_of(recipient: Recipient) -> dict[str, Any]:
    retired_at = recipient.retired_at
    return {
        "name": recipient.name,
        "key_id": recipient.key_id,
        "public_key": recipient.public_key,
        "added_at": recipient.added_at.isoformat(),
        "added_by": recipient.added_by,
        "retired_at": None if retired_at is None else retired_at.isoformat(),
    }


def own_facts(own: OwnKey) -> tuple[dict[str, Any], str]:
    facts = {"name": own.name, "key_id": own.key_id, "public_key": own.public_key}
    return facts, f"{own.name} (key {own.key_id}): {own.public_key}"
