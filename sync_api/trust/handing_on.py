"""What is handed on, in portions that one answer can hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q

from sync_api.conf import alias_settings, limit
from sync_api.models import IncomingEpoch, Statement
from sync_api.trust.making import statements_for
from sync_api.trust.receipts import applied_receipt
from sync_api.wire.certificates import canonical

DEVICES_AT_ONCE = 50
ANSWERED = ("held", "applied", "durable", "revocation")
ANSWERED_MAX = 50
ORDERS_ANSWERED_MAX = 20
ANSWERED_BYTES_MAX = 128 * 1024
PAGE_BYTES_MAX = 2 * 1024 * 1024


def page_of_statements(
    alias: str, devices: Iterable[str] | None, *, after: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Statements about the devices named after `after`, and the last name given when there are more.

    Whole devices within SYNC_STATEMENTS_PER_REQUEST_MAX and two megabytes; of one that has more alone, the newest,
    and those of servers before all others: nobody else's can drive a server's word out.
    """
    most = int(limit("SYNC_STATEMENTS_PER_REQUEST_MAX"))
    names = sorted(name for name in (known_devices(alias) if devices is None else set(devices)) if name > after)
    page: list[dict[str, Any]] = []
    size, last = 0, after
    for start in range(0, len(names), DEVICES_AT_ONCE):
        some = names[start : start + DEVICES_AT_ONCE]
        for name, statements in by_device(statements_for(alias, some), some).items():
            told = within_bytes(sorted(statements, key=is_by_server)[-most:], PAGE_BYTES_MAX)
            size += sum(len(canonical(statement)) for statement in told)
            if page and (len(page) + len(told) > most or size > PAGE_BYTES_MAX):
                return page, last
            page += told
            last = name
    return page, None


def by_device(statements: list[dict[str, Any]], names: list[str]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for statement in statements:
        found[statement["device"]].append(statement)
    return {name: found[name] for name in names}


def is_by_server(statement: dict[str, Any]) -> bool:
    """A server is known by its key; every other signer adds its certificate."""
    return "certificate" not in statement


def within_bytes(statements: list[dict[str, Any]], bytes_max: int) -> list[dict[str, Any]]:
    """The last ones that fit."""
    size, kept = 0, []
    for statement in reversed(statements):
        size += len(canonical(statement))
        if size > bytes_max:
            break
        kept.append(statement)
    return kept[::-1]


def known_devices(alias: str) -> set[str]:
    """Names of all devices of which something can be said here."""
    told = set(Statement.objects.using(alias).order_by().values_list("device", flat=True).distinct())
    return told | set(IncomingEpoch.objects.using(alias).order_by().values_list("device__name", flat=True).distinct())


def answer_statements(alias: str, device: str, epoch: str) -> list[dict[str, Any]]:
    """What the answer to a batch tells its device besides the receipt: how far this server applied its epoch, and
    what is kept of others' receipts and of revocations, servers' before relays'. Custody and heartbeats are asked for.
    """
    own = applied_receipt(alias, device, epoch)
    stored = Statement.objects.using(alias).filter(device=device, kind__in=ANSWERED)
    by_others = ExpressionWrapper(Q(facts__has_key="certificate"), output_field=BooleanField())
    servers_first = stored.order_by(by_others.asc(), "-id")
    others = list(servers_first.values_list("facts", flat=True)[:ANSWERED_MAX])
    orders = stored_orders(alias, device)
    return [*own, *orders, *within_bytes(others[::-1], ANSWERED_BYTES_MAX)]


def stored_orders(alias: str, device: str) -> list[dict[str, Any]]:
    """The newest orders to erase; a device asks for all of them when it asks for statements."""
    orders = Statement.objects.using(alias).filter(device=device, kind=Statement.Kind.ERASURE).order_by("-id")
    return within_bytes(list(orders.values_list("facts", flat=True)[:ORDERS_ANSWERED_MAX])[::-1], ANSWERED_BYTES_MAX)


def settled_receipts(alias: str, device: str, epoch: str) -> list[dict[str, Any]]:
    """This server's own `applied` and `durable` for one epoch."""
    marks = Statement.objects.using(alias).filter(
        kind=Statement.Kind.DURABLE, device=device, epoch=epoch, signer=alias_settings(alias).device
    )
    return [*applied_receipt(alias, device, epoch), *marks.values_list("facts", flat=True)]
