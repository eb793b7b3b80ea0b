"""On a middleman: fetches what waits on a laptop, and brings it the receipts of its earlier batches.

May be cut anywhere and repeated: what is carried already is not fetched again, and its receipt is brought again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from django.db.models import Min

from sync_api.client.deliver import BATCH_TYPE
from sync_api.client.exchange import bring_statements, get_statements
from sync_api.client.files import FilesReport
from sync_api.client.files_pull import pull_files
from sync_api.client.visit import Visited, visiting
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import NotARelay, NotTheServer, ServerRefused, ServerUnreachable, SyncError
from sync_api.models import CarriedBatch
from sync_api.relay import carry
from sync_api.relay.custody import own_custody
from sync_api.relay.receipts import apply_receipts, receipts_for
from sync_api.trust import statements_for, take_statements
from sync_api.wire.header import HEX32, HEX64, number, text


@dataclass(slots=True)
class PullReport:
    """What one pull did. `refused` has one sentence per batch that was not taken."""

    laptop: str
    batches: int = 0
    transactions: int = 0
    bytes: int = 0
    carried_before: int = 0
    statements_brought: int = 0
    statements_taken: int = 0
    refused: list[str] = field(default_factory=list)
    files: FilesReport = field(default_factory=FilesReport)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One batch of the laptop's list; `held` says that the laptop has the server's receipt for it."""

    epoch: str
    number: int
    hash: str
    lines: int
    held: bool


def pull(
    alias: str,
    url: str,
    *,
    allow_http: bool = False,
    progress: Callable[[int], None] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> PullReport:
    """Take what the laptop at `url` has to hand on; `progress` is called with the transactions of each batch.

    Opens a transaction per batch, none while it waits for the network. A batch that is not good is left, with its
    reason in the report; the others are taken. Raises NotARelay, PeerNotTrusted, ServerRefused, NotTheServer or
    ServerUnreachable.
    """
    own = alias_settings(alias)
    if own.role != "relay":
        raise NotARelay(device=own.device, role=own.role)
    with visiting(alias, url, allow_http=allow_http, transport=transport) as laptop:
        name = laptop.peer.name
        report = PullReport(name)
        report.statements_taken = take_statements(alias, get_statements(laptop), via=f"{name}, by pull").new
        apply_receipts(alias)
        report.statements_brought = bring_statements(laptop, statements_for(alias, [name]))
        for page in waiting_pages(laptop):
            for batch in chosen(alias, page, report):
                take(alias, laptop, batch, report)
                if progress is not None:
                    progress(batch.lines)
            hashes = {batch.hash for batch in page}
            told = [*receipts_for(alias, name, hashes), *own_custody(alias, name, hashes)]
            report.statements_brought += bring_statements(laptop, told)
        report.files = pull_files(alias, laptop)
        report.refused += report.files.problems
    return report


def waiting_pages(laptop: Visited) -> Iterator[list[Waiting]]:
    """The laptop's list, page by page, in the order of sealing."""
    after: int | None = 0
    while after is not None:
        body = laptop.get(f"outgoing?after={after}").body
        page, following = body.get("batches"), body.get("next")
        is_end = following is None or (type(following) is int and following > after)
        if not isinstance(page, list) or not is_end or body.get("device") != laptop.peer.name:
            raise NotTheServer(url=laptop.url, status=200)
        yield [waiting_batch(laptop, facts) for facts in page]
        after = following


def waiting_batch(laptop: Visited, facts: Any) -> Waiting:
    rules = {"epoch": text(HEX32), "number": number(1), "hash": text(HEX64), "lines": number(1)}
    if not isinstance(facts, dict) or not all(rule(facts.get(name)) for name, rule in rules.items()):
        raise NotTheServer(url=laptop.url, status=200)
    return Waiting(**{name: facts[name] for name in rules}, held=facts.get("held") is True)


def chosen(alias: str, page: list[Waiting], report: PullReport) -> list[Waiting]:
    """Those to fetch: not carried yet, and not at the server; or lost there, so that it waits for them again."""
    hashes = [batch.hash for batch in page]
    batches = CarriedBatch.objects.using(alias).filter(device=report.laptop)
    carried = set(batches.filter(hash__in=hashes).values_list("hash", flat=True))
    waits = batches.filter(state=CarriedBatch.State.CARRIED).exclude(waits_for=None).order_by()
    lost_from = dict(waits.values_list("epoch").annotate(Min("waits_for")))
    report.carried_before += len(carried)
    return [
        batch
        for batch in page
        if batch.hash not in carried
        and (not batch.held or batch.number >= lost_from.get(batch.epoch, batch.number + 1))
    ]


def take(alias: str, laptop: Visited, batch: Waiting, report: PullReport) -> None:
    """Fetch one batch and carry it. What is wrong with it goes into the report."""
    size_max = int(limit("SYNC_ENVELOPE_BYTES_MAX"))
    try:
        content = laptop.fetch(f"outgoing/{batch.epoch}/{batch.number}", BATCH_TYPE, size_max=size_max)
        taken = carry(alias, content, handed_over_by=laptop.peer.name, role=laptop.peer.role, via="pull")
    except (ServerUnreachable, NotTheServer):
        raise
    except ServerRefused as error:
        report.refused.append(f"Batch {batch.number}: {error}")
        return
    except SyncError as error:
        if error.code == "relay_full":
            raise
        report.refused.append(f"Batch {batch.number}: {error}")
        return
    report.batches += 1
    report.transactions += taken.batch.lines
    report.bytes += taken.batch.size


def report_facts(report: PullReport) -> dict[str, Any]:
    """For `--json`."""
    return {**{name: getattr(report, name) for name in PullReport.__slots__}, "files": report.files.facts}
