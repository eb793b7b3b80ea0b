"""On a middleman or a server: hands on others' batches, the very bytes, in order per device.

May be cut anywhere and repeated. A batch counts as delivered only by a server's signed receipt for it. One device's
refusal never delays another's; a batch that the server keeps behind a gap does not delay those after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from sync_api.client.deliver import BATCH_TYPE
from sync_api.client.exchange import bring_statements, get_statements
from sync_api.client.files import Budget, FilesReport, send_files
from sync_api.client.visit import Visited, visiting
from sync_api.conf import alias_settings
from sync_api.exceptions import NotARelay, NotEnrolled, NotTheServer, ReceiptInvalid, ServerRefused, ServerUnreachable
from sync_api.failpoints import failpoint
from sync_api.models import LocalDevice
from sync_api.relay.custody import note_handing_over
from sync_api.relay.receipts import apply_receipts, mark_delivered, mark_handed, mark_refused
from sync_api.relay.waiting import (
    Parcel,
    Target,
    content_of,
    parcels_between,
    waiting_devices,
    waiting_parcels,
)
from sync_api.trust import statements_for, take_statements
from sync_api.trust.verifying import has_form
from sync_api.wire.statements import is_statement_of

ONE_BATCH = frozenset(
    {"batch_fork", "sequence_mismatch", "malformed_envelope", "bad_signature", "envelope_too_large"}
    | {"erased_line_unproven"}
)
"""Refusals of one batch, and of those that follow from it by their hashes."""
ONE_EPOCH = frozenset({"epoch_closed", "epoch_unknown", "device_revoked", "key_unknown", "certificate_invalid"})
"""Refusals that end an epoch; the device's next one goes on, for it may be of another key: enrolled again. Any other
refusal of a batch is its device's."""
OURS = frozenset(
    {
        "token_unknown",
        "not_authenticated",
        "permission_denied",
        "wrong_device",
        "not_a_relay",
        "relay_full",
        "throttled",
    }
)
"""Refusals of this installation, whatever it brings."""
UNREACHABLE_MAX = 2
"""Devices in a row whose batch got no answer, before it is taken for the road's fault."""


@dataclass(slots=True)
class RelayReport:
    """What one run did. `early` counts batches kept there behind a gap; `problems` has one sentence per refusal."""

    to: str
    role: str
    batches: int = 0
    transactions: int = 0
    bytes: int = 0
    early: int = 0
    delivered_by_others: int = 0
    statements_brought: int = 0
    statements_taken: int = 0
    problems: list[str] = field(default_factory=list)
    files: FilesReport = field(default_factory=FilesReport)


def relay(
    alias: str,
    url: str = "",
    *,
    files_bytes_max: int | None = None,
    allow_http: bool = False,
    progress: Callable[[int], None] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> RelayReport:
    """Hand on what is here to the installation at `url`, else to this one's home server.

    The bytes of files go after the batches, at most `files_bytes_max` of them.
    Opens a transaction per batch, none while it waits for the network. Refusals of batches are in the report's
    `problems`; the rest goes on. Raises NotARelay, NotEnrolled, PeerNotTrusted, ServerRefused (of this installation),
    NotTheServer or ServerUnreachable.
    """
    own = alias_settings(alias)
    if own.role not in ("relay", "server"):
        raise NotARelay(device=own.device, role=own.role)
    address = url or home_address(alias, own.device)
    with visiting(alias, address, allow_http=allow_http, transport=transport) as server:
        run = Handing(alias, server, progress or (lambda transactions: None))
        run.exchange()
        run.hand_on()
        if run.report.batches or run.report.early:
            run.exchange()
        run.report.files = send_files(
            alias,
            server,
            server.peer.name,
            to_server=server.peer.role == "server",
            budget=Budget(files_bytes_max),
        )
        run.report.problems += run.report.files.problems
    return run.report


def home_address(alias: str, name: str) -> str:
    url = LocalDevice.objects.using(alias).filter(name=name).values_list("server_url", flat=True).first()
    if not url:
        raise NotEnrolled(device=name)
    return url


class Handing:
    """One run to one target."""

    def __init__(self, alias: str, server: Visited, progress: Callable[[int], None]) -> None:
        self.alias = alias
        self.server = server
        self.progress = progress
        self.report = RelayReport(server.peer.name, server.peer.role)
        self.heads: dict[tuple[str, str], int] = {}

    def exchange(self) -> None:
        """Statements both ways; what the target's receipts cover is marked, and its heads are known."""
        devices = waiting_devices(self.alias)
        statements = get_statements(self.server, devices)
        taken = take_statements(self.alias, statements, via=f"{self.server.peer.name}, by relay")
        self.report.statements_taken += taken.new
        self.heads = self.heads_in(statements)
        self.report.delivered_by_others += apply_receipts(self.alias)
        self.report.statements_brought += bring_statements(self.server, statements_for(self.alias, devices))

    def heads_in(self, statements: list[Any]) -> dict[tuple[str, str], int]:
        """What the target itself says it holds now. After a restore that is less than its earlier receipts say."""
        own = [one for one in statements if has_form(one) and is_statement_of(one, self.server.peer.public_key)]
        receipts = [one for one in own if one["kind"] == "held" and "first" not in one]
        return {(one["device"], one["epoch"]): int(one["number"]) for one in receipts}

    def hand_on(self) -> None:
        """Every device in turn. The road's failure ends it, after a second device found the same."""
        unreachable = 0
        target = Target(self.server.peer.name, self.server.peer.role, self.heads)
        for device in waiting_devices(self.alias):
            try:
                self.hand_on_device(device, target)
                unreachable = 0
            except ServerUnreachable as error:
                unreachable += 1
                self.report.problems.append(f"{device}: {error}")
                if unreachable == UNREACHABLE_MAX:
                    raise
            except ServerRefused as error:
                if error.code in OURS:
                    raise
                self.report.problems.append(f"{device}: {error}")

    def hand_on_device(self, device: str, target: Target) -> None:
        for parcels in waiting_parcels(self.alias, device, target):
            try:
                if self.hand_on_epoch(parcels):
                    return
            except ServerRefused as error:
                if error.code not in ONE_EPOCH:
                    raise
                self.report.problems.append(f"{device}: {error}")

    def hand_on_epoch(self, parcels: list[Parcel]) -> bool:
        """Hand on one epoch's batches; returns whether the target still waits for some that are not here."""
        refused: set[str] = set()
        is_early = False
        for parcel in parcels:
            if parcel.previous_hash in refused:
                refused.add(parcel.hash)
                continue
            try:
                is_early = self.hand_over(parcel)
            except ServerRefused as error:
                if error.code not in ONE_BATCH:
                    raise
                refused.add(parcel.hash)
                self.report.problems.append(f"{parcel.device}, batch {parcel.number}: {error}")
        return is_early

    def hand_over(self, parcel: Parcel) -> bool:
        """Hand over one batch; where the target lacks earlier ones that are here, those first. True: it is early."""
        expected = self.send(parcel)
        if expected is None:
            return False
        earlier = parcels_between(self.alias, parcel, expected)
        if earlier and earlier[0].number == expected:
            for one in earlier:
                self.send(one)
            expected = self.send(parcel)
        return expected is not None

    def send(self, parcel: Parcel) -> int | None:
        """Send the bytes and keep the answer. Returns the number the target needs first, None when it is held."""
        content = content_of(self.alias, parcel)
        failpoint("relay.before_send")
        try:
            body = self.server.post("batches", content, BATCH_TYPE).body
        except ServerRefused as error:
            if parcel.carried is not None and error.code not in OURS:
                mark_refused(self.alias, parcel.carried, error.code)
            raise
        failpoint("relay.after_answer")
        said = tuple(body.get(name) for name in ("device", "epoch", "number", "hash"))
        if said != (parcel.device, parcel.epoch, parcel.number, parcel.hash):
            raise NotTheServer(url=self.server.url, status=200)
        if body.get("state") == "early":
            return self.keep_early(parcel, body.get("expected"))
        self.keep_receipt(parcel, body.get("receipt"))
        return None

    def keep_early(self, parcel: Parcel, expected: Any) -> int:
        if type(expected) is not int or not 1 <= expected < parcel.number:
            raise NotTheServer(url=self.server.url, status=202)
        if parcel.carried is not None:
            mark_handed(self.alias, parcel.carried, handed_to=self.server.peer.name, waits_for=expected)
        self.report.early += 1
        return expected

    def keep_receipt(self, parcel: Parcel, receipt: Any) -> None:
        """Check the target's receipt for this batch and mark the batch. Opens its own transaction."""
        receipt = self.checked_receipt(parcel, receipt)
        name = self.server.peer.name
        if parcel.carried is None:
            note_handing_over(
                self.alias,
                device=parcel.device,
                epoch=parcel.epoch,
                number=parcel.number,
                hash_hex=parcel.hash,
                other=name,
            )
        elif self.server.peer.role == "server":
            mark_delivered(self.alias, parcel.carried, receipt, handed_to=name)
        else:
            mark_handed(self.alias, parcel.carried, handed_to=name)
        self.report.batches += 1
        self.report.transactions += parcel.lines
        self.report.bytes += parcel.size
        self.progress(parcel.lines)

    def checked_receipt(self, parcel: Parcel, receipt: Any) -> dict[str, Any]:
        if not has_form(receipt) or not is_statement_of(receipt, self.server.peer.public_key):
            raise ReceiptInvalid(what="its signature is not that of the installation that was visited")
        said = tuple(receipt.get(name) for name in ("kind", "device", "epoch", "number", "hash"))
        if said != ("held", parcel.device, parcel.epoch, parcel.number, parcel.hash):
            raise ReceiptInvalid(what="it speaks of another batch")
        return dict(receipt)


def report_facts(report: RelayReport) -> dict[str, Any]:
    """For `--json`."""
    return {**{name: getattr(report, name) for name in RelayReport.__slots__}, "files": report.files.facts}
