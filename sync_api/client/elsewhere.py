"""Delivers to targets other than the home server: middlemen and further servers, each from its own position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from django.db.models import QuerySet

from sync_api.client.deliver import Deliverer
from sync_api.client.exchange import get_statements
from sync_api.client.files import Budget, send_files
from sync_api.client.push_report import PushReport
from sync_api.client.targets import beyond_position, now
from sync_api.client.visit import Visited, visiting
from sync_api.client.waiting import HELD, unsettled
from sync_api.exceptions import ReceiptInvalid, ServerRefused, TargetDiffers
from sync_api.failpoints import failpoint
from sync_api.files.outgoing import waiting_contents
from sync_api.models import LocalDevice, OutgoingBatch, PushTarget
from sync_api.transactions import immediate
from sync_api.trust import take_statements
from sync_api.waiting import EPOCH_ENDED
from sync_api.wire.statements import is_statement, is_statement_of


def push_elsewhere(
    alias: str,
    device: LocalDevice,
    target: PushTarget,
    report: PushReport,
    progress: Callable[[int], None],
    budget: Budget,
    *,
    allow_http: bool,
    transport: httpx.BaseTransport | None,
) -> None:
    """Send what is stored beyond the target's position; with nothing to send there and nothing to learn, no request.

    A middleman is also asked what receipts it brought back. Opens a transaction per batch. Raises TargetDiffers,
    PeerNotTrusted, ReceiptInvalid, ServerRefused, NotTheServer, ServerUnreachable, PlainHttpRefused.
    """
    batches = OutgoingBatch.objects.using(alias).filter(device=device)
    is_asked = target.kind == PushTarget.Kind.RELAY and unsettled(batches).exists()
    files = files_for(alias, device, target)
    if not is_asked and not files and not beyond_position(batches, target).exists():
        return
    with visiting(alias, target.url, allow_http=allow_http, transport=transport) as server:
        try:
            if server.peer.name != target.name:
                raise TargetDiffers(name=target.name, found=server.peer.name, url=server.url)
            deliverer = TargetDeliverer(alias, device, server, report, progress, target)
            deliverer.send_stored()
            if is_asked:
                deliverer.take(get_statements(server, [device.name]))
            report.files = send_files(
                alias,
                server,
                target.name,
                to_server=server.peer.role == "server",
                budget=budget,
                waiting=files_for(alias, device, target),
            )
        finally:
            report.requests = server.requests


def files_for(alias: str, device: LocalDevice, target: PushTarget) -> list[tuple[str, int]]:
    """The contents to bring there. A middleman is given what the home server lacks, and never a sealed model's."""
    if target.kind != PushTarget.Kind.RELAY:
        return waiting_contents(alias, target.name, to_server=True)
    lacking = set(waiting_contents(alias, device.server_name, to_server=False))
    return [one for one in waiting_contents(alias, target.name, to_server=False) if one in lacking]


class TargetDeliverer(Deliverer):
    """Sends batches to one target other than the home server, within one push."""

    server: Visited

    def __init__(
        self,
        alias: str,
        device: LocalDevice,
        server: Visited,
        report: PushReport,
        progress: Callable[[int], None],
        target: PushTarget,
    ) -> None:
        super().__init__(alias, device, server, report, progress)
        self.target = target

    def send_stored(self) -> None:
        """Send what is stored beyond the position, in the order of sealing. An earlier epoch that the target will
        not take is left behind."""
        for pk, epoch in list(self._new().values_list("pk", "epoch")):
            if epoch in self.report.closed_epochs:
                continue
            try:
                self.send(OutgoingBatch.objects.using(self.alias).get(pk=pk))
            except ServerRefused as error:
                if error.code not in EPOCH_ENDED or epoch == self.device.epoch:
                    raise
                self.report.closed_epochs.append(epoch)

    def _new(self) -> QuerySet[OutgoingBatch]:
        return beyond_position(OutgoingBatch.objects.using(self.alias).filter(device=self.device), self.target)

    def _keep(self, batch: OutgoingBatch, body: dict[str, Any]) -> None:
        """Check the target's receipt, let it have its effect, and move the position. Opens its own transactions."""
        receipt = self._checked(body.get("receipt"), batch)
        taken = take_statements(self.alias, [receipt], via=f"{self.target.name}, by push")
        if not taken.stored:
            raise ReceiptInvalid(what=f"it is not believed here ({', '.join(taken.refused)})")
        self._move(batch)
        failpoint("push.after_receipt")
        self.take(body.get("statements"))
        self._count(batch)

    def _checked(self, receipt: Any, batch: OutgoingBatch) -> dict[str, Any]:
        if not is_statement(receipt) or not is_statement_of(receipt, self.server.peer.public_key):
            raise ReceiptInvalid(what=f"it is not signed by '{self.target.name}'")
        said = tuple(receipt.get(name) for name in ("kind", "signer", "device", "epoch", "hash"))
        covers = receipt.get("first", 1) <= batch.number <= receipt["number"]
        if said != (HELD, self.target.name, self.device.name, batch.epoch, batch.hash) or not covers:
            raise ReceiptInvalid(what="it speaks of another batch")
        return dict(receipt)

    def _move(self, batch: OutgoingBatch) -> None:
        """The position follows the receipts, and never goes back within an epoch. Opens its own transaction."""
        with immediate(self.alias):
            target = PushTarget.objects.using(self.alias).select_for_update().filter(pk=self.target.pk).first()
            if target is None:  # removed meanwhile
                return
            if target.epoch != batch.epoch or target.acknowledged_number < batch.number:
                target.epoch, target.acknowledged_number = batch.epoch, batch.number
            target.last_held_at = now(self.alias)
            target.save(using=self.alias, update_fields=["epoch", "acknowledged_number", "last_held_at"])
