"""Takes statements that came by any road: believes them or not, keeps them, and does what they call for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sync_api.conf import limit
from sync_api.exceptions import StatementInvalid, SyncError
from sync_api.models import Statement
from sync_api.overwriting import deleted_overwritten
from sync_api.transactions import immediate
from sync_api.trust.effects import apply_effect
from sync_api.trust.making import LATEST_ONLY, make_statement
from sync_api.trust.verifying import Signer, Verifier, has_form
from sync_api.wire.statements import RECEIPTS, digest_of

VIA_LENGTH_MAX = 80
KNOWN_AT_ONCE = 500


@dataclass(slots=True)
class Taken:
    """What became of the statements: new ones, those known before (or of less news), and the refused by code."""

    new: int = 0
    known: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def stored(self) -> int:
        """How many were believed: they are in the table now, or a later word of the same signer is."""
        return self.new + self.known


def take_statements(alias: str, statements: Iterable[Any], via: str) -> Taken:
    """Check each statement, keep it, and apply its effect. May be repeated, in any order.

    Opens its own transaction. One that is not believed is counted under its code; nothing is raised for it.
    `via` says who handed them over by which road, for people.
    """
    taken, believed = Taken(), []
    listed = list(statements)
    known = known_digests(alias, listed)
    verifier = Verifier(alias)
    for statement in listed:
        try:
            if has_form(statement) and digest_of(statement) in known:
                taken.known += 1
            else:
                believed.append((statement, verifier.verify(statement)))
        except SyncError as error:
            taken.refused[error.code] += 1
    if believed:
        orders = any(statement["kind"] == "erasure" for statement, _ in believed)
        with deleted_overwritten(alias) if orders else nullcontext(), immediate(alias):
            for statement, signer in sorted(believed, key=in_one_order):
                take_one(alias, statement, signer, via, taken)
            for device in {one["device"] for one, _ in believed if one["kind"] == Statement.Kind.CUSTODY}:
                forget_custody(alias, device)
    return taken


def in_one_order(believed: tuple[dict[str, Any], Signer]) -> tuple[Any, ...]:
    """The same order in every process, so that none waits for another's row while it keeps one of theirs."""
    statement = believed[0]
    return statement["device"], statement["kind"], statement["signer"], statement["at"], digest_of(statement)


def take_one(alias: str, statement: dict[str, Any], signer: Signer, via: str, taken: Taken) -> None:
    """Apply and keep one believed statement. Call inside a transaction."""
    try:
        done = apply_effect(alias, statement, signer)
    except StatementInvalid as error:
        taken.refused[error.code] += 1
        return
    if done:
        tell_erased(alias, statement)
    if keep(alias, statement, via):
        taken.new += 1
    else:
        taken.known += 1


def tell_erased(alias: str, order: dict[str, Any]) -> None:
    """Keep this installation's signed word that it followed an order. Call inside a transaction; once per order."""
    facts = {name: order[name] for name in ("epoch", "number", "hash")}
    told = make_statement(
        alias,
        "custody",
        order["device"],
        **facts,
        action="erased",
        other=order["signer"],
        via=f"order of {order['at']}",
    )
    keep(alias, told, via="own")


def issue_statement(alias: str, kind: str, device: str, *, via: str, **facts: Any) -> dict[str, Any]:
    """Make a statement of this installation's own and keep it, to be handed on. Call inside a transaction."""
    statement = make_statement(alias, kind, device, **facts)
    keep(alias, statement, via)
    return statement


def keep(alias: str, statement: dict[str, Any], via: str) -> bool:
    """Store it, in place of the older one where only the latest counts. Call inside a transaction."""
    rows = Statement.objects.using(alias)
    if statement["kind"] in LATEST_ONLY:
        same = rows.filter(
            kind=statement["kind"],
            signer=statement["signer"],
            device=statement["device"],
            epoch=statement.get("epoch", "") if statement["kind"] in RECEIPTS else "",
        )
        older = list(same.select_for_update())
        if any(not is_news(statement, row) for row in older):
            return False
        same.filter(pk__in=[row.pk for row in older]).delete()
    row = statement_row(statement, via)
    rows.bulk_create([row], ignore_conflicts=True)
    return True


def forget_custody(alias: str, device: str) -> None:
    """The oldest custody statements about a device go, beyond SYNC_CUSTODY_KEPT_MAX. Call inside a transaction."""
    custody = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY, device=device).order_by("-pk")
    most = int(limit("SYNC_CUSTODY_KEPT_MAX"))
    oldest_kept = custody.values_list("pk", flat=True)[most - 1 : most].first()
    if oldest_kept is not None:
        custody.filter(pk__lt=oldest_kept).order_by().delete()


def statement_row(statement: dict[str, Any], via: str) -> Statement:
    names_batch = statement["kind"] in (*RECEIPTS, "custody", "erasure")
    return Statement(
        kind=statement["kind"],
        signer=statement["signer"],
        device=statement["device"],
        epoch=statement["epoch"] if names_batch else "",
        number=statement["number"] if names_batch else 0,
        facts=statement,
        digest=digest_of(statement),
        via=via[:VIA_LENGTH_MAX],
    )


def is_news(statement: dict[str, Any], row: Statement) -> bool:
    """Whether it says more than the stored one. A clock that was ahead when the stored one came does not count."""
    at, stored = datetime.fromisoformat(statement["at"]), datetime.fromisoformat(row.facts["at"])
    if row.kind == Statement.Kind.HEARTBEAT:
        return at > min(stored, row.received_at)
    if statement["number"] != row.number:
        return bool(statement["number"] > row.number)
    return at >= stored and digest_of(statement) != row.digest


def known_digests(alias: str, statements: list[Any]) -> set[str]:
    """Digests of those that are stored already: believed before, in effect before."""
    digests = [digest_of(statement) for statement in statements if has_form(statement)]
    known: set[str] = set()
    for start in range(0, len(digests), KNOWN_AT_ONCE):
        rows = Statement.objects.using(alias).filter(digest__in=digests[start : start + KNOWN_AT_ONCE])
        known.update(rows.values_list("digest", flat=True))
    return known
