"""Statements of this installation, and what it hands on of others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from audit.models import Device
from sync_api.conf import alias_settings, limit
from sync_api.models import Statement
from sync_api.trust.certificates import own_certificate
from sync_api.trust.receipts import receipts_for
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import digest_of, sign_statement

LATEST_ONLY = frozenset({"held", "applied", "durable", "heartbeat"})


def make_statement(alias: str, kind: str, device: str, **facts: Any) -> dict[str, Any]:
    """A statement about `device`, signed by this installation. Nothing is stored: see take_statements.

    A server is known by its key; every other installation adds its certificate. Raises NotEnrolled.
    """
    own = alias_settings(alias)
    statement = {"kind": kind, "device": device, "signer": own.device, "at": timezone.now().isoformat(), **facts}
    if own.role != Device.Role.SERVER:
        statement["certificate"] = own_certificate(alias)
    return sign_statement(statement, device_keys(own.device))


def statements_for(alias: str, devices: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """What to hand on about these devices (None: about all): a server's own receipts, then whatever is stored.

    Of custody, only the newest per device (SYNC_CUSTODY_PER_DEVICE_MAX).
    """
    names = None if devices is None else list(devices)
    is_server = alias_settings(alias).role == Device.Role.SERVER
    own = receipts_for(alias, names) if is_server else []
    stored = Statement.objects.using(alias).exclude(kind=Statement.Kind.CUSTODY)
    custody = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY)
    if names is not None:
        stored, custody = stored.filter(device__in=names), custody.filter(device__in=names)
    if is_server:  # its own word of before it was restored from a backup is others' to tell
        stored = stored.exclude(kind__in=["held", "applied"], signer=alias_settings(alias).device)
    told = {digest_of(statement) for statement in own}
    others = [facts for digest, facts in stored.values_list("digest", "facts") if digest not in told]
    return [*own, *others, *newest_custody(custody)]


def newest_custody(custody: QuerySet[Statement]) -> list[dict[str, Any]]:
    """The last ones per device, in the order of their arrival."""
    most = int(limit("SYNC_CUSTODY_PER_DEVICE_MAX"))
    counts: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    for device, facts in custody.order_by("-id").values_list("device", "facts").iterator(chunk_size=1_000):
        counts[device] += 1
        if counts[device] <= most:
            kept.append(facts)
    return kept[::-1]
