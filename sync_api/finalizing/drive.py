"""The way of a finalization: mark, push, proof, wipe. Each step is stored, so that it goes on from anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import Error

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import FinalizationMissing, FinalizationOpen, FinalizationWaits
from sync_api.failpoints import failpoint
from sync_api.finalizing.marking import mark, open_finalizations
from sync_api.finalizing.proof import confirm, mark_line, mark_of, waits_for
from sync_api.finalizing.wiping import wipe
from sync_api.models import Finalization, LocalDevice, OutgoingTransaction
from sync_api.recipients.forgetting import scrub_database
from sync_api.transactions import immediate

State = Finalization.State


def finalize(
    alias: str,
    *,
    records: Sequence[str] = (),
    reason: str = "",
    resume: bool = False,
    carry: Callable[[], None] | None = None,
    wait_seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Finalization:
    """Mark everything (or `records`), have it preserved, and remove it here; or go on with what was begun.

    `carry` takes what waits to the home server and fetches its statements (None: only what other roads brought counts).
    Asks again until `wait_seconds` (SYNC_FINALIZE_WAIT_SECONDS) are over. Opens a transaction per step; killed
    anywhere, the next call goes on. FinalizationWaits when the server has not preserved it yet; the errors of marking,
    of `carry` and of wiping. Nothing is removed without the home server's verified receipt.
    """
    finalization = begun(alias, records=records, reason=reason, resume=resume)
    deadline = time.monotonic() + (float(limit("SYNC_FINALIZE_WAIT_SECONDS")) if wait_seconds is None else wait_seconds)
    while not confirm(alias, finalization):
        if carry is not None:
            carry()
            if confirm(alias, finalization):
                break
        if carry is None or time.monotonic() >= deadline:
            raise FinalizationWaits(
                device=finalization.device.name,
                server=finalization.device.server_name,
                why=waits_for(alias, finalization),
            )
        sleep(float(limit("SYNC_FINALIZE_ASK_SECONDS")))
    return wipe(alias, finalization)


def begun(alias: str, *, records: Sequence[str], reason: str, resume: bool) -> Finalization:
    """The open finalization, or a new one. A call that is repeated as it was goes on; another one is refused."""
    under_way = open_finalizations(alias).first()
    device = alias_settings(alias).device
    if under_way is not None:
        if not resume and (records or under_way.is_partial):
            raise FinalizationOpen(device=device)
        return under_way
    if resume:
        raise FinalizationMissing(device=device)
    made = mark(alias, records=records, reason=reason)
    failpoint("finalize.after_mark")
    return made


def abandon(alias: str, *, reason: str = "") -> Finalization:
    """Give the open finalization up: everything stays here, and the next one covers it all. Opens its own transaction.

    A mark that is not sealed yet is taken back; one that is may still be preserved by the server, which does no harm.
    FinalizationMissing.
    """
    with immediate(alias):
        device = LocalDevice.objects.using(alias).select_for_update().filter(name=alias_settings(alias).device).first()
        under_way = open_finalizations(alias).first()
        if device is None or under_way is None:
            raise FinalizationMissing(device=alias_settings(alias).device)
        OutgoingTransaction.objects.using(alias).filter(pk=under_way.transaction_id, batch_number=None).delete()
        under_way.state = State.ABANDONED
        under_way.reason = "; ".join(part for part in (under_way.reason, reason) if part)
        under_way.save(using=alias, update_fields=["state", "reason"])
    return under_way


def scrub(alias: str) -> bool:
    """Take the wiped rows' bytes out of the database file; False where that is not possible now (no disk, a reader)."""
    try:
        return scrub_database(alias)
    except Error:
        return False


def facts_of(alias: str, finalization: Finalization) -> dict[str, Any]:
    """For `--json`, and for pages: where a finalization stands."""
    told = (finalization.receipt or {}).get("preserved") or []
    era = next((one["era"] for one in told if one["mark"] == finalization.mark_id), None)
    return {
        "device": finalization.device.name,
        "mark": finalization.mark_id,
        "state": finalization.state,
        "is_partial": finalization.is_partial,
        "records": mark_of(finalization).count,
        "era": era,
        "wiped": finalization.wiped,
        "marked_at": finalization.marked_at,
        "confirmed_at": finalization.confirmed_at,
        "wiped_at": finalization.wiped_at,
        "is_sent": finalization.state != State.ABANDONED and mark_line(alias, finalization).batch_number is not None,
    }
