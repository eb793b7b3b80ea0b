"""Delivers stored batches and keeps the server's receipts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.db.models import Max, QuerySet

from sync_api.client.http import Server
from sync_api.client.waiting import HELD, REFUSED, unsettled
from sync_api.exceptions import (
    BatchGone,
    DeviceRestored,
    NotTheServer,
    ReceiptInvalid,
    SealedModelsInvalid,
    ServerRefused,
    SyncError,
)
from sync_api.failpoints import failpoint
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.recipients.choosing import sealed_models
from sync_api.recipients.lists import take_list
from sync_api.transactions import immediate
from sync_api.trust import take_statements
from sync_api.waiting import EPOCH_ENDED
from sync_api.wire.certificates import RECEIPT, is_signed_by

if TYPE_CHECKING:
    from sync_api.client.push_report import PushReport

RECIPIENTS_HEADER = "X-Sync-Recipients"
RECEIPT_HEADER = "X-Sync-Receipt"
BATCH_TYPE = "application/vnd.syncserver.batch"
APPLIED = "applied"


class Deliverer:
    """Sends batches of one device in order, within one push."""

    def __init__(
        self, alias: str, device: LocalDevice, server: Server, report: PushReport, progress: Callable[[int], None]
    ) -> None:
        self.alias = alias
        self.device = device
        self.server = server
        self.report = report
        self.progress = progress
        self.recipients_taken = False
        self.recipients_error: SyncError | None = None
        if device_seals():
            server.client.headers[RECIPIENTS_HEADER] = device.recipients_digest

    def send_stored(self) -> None:
        """Send what is sealed and has no receipt, in order: earlier epochs first."""
        for epoch in self._epochs():
            try:
                for number in self._unreceipted(epoch):
                    self.send(self._batch(epoch, number))
            except ServerRefused as error:
                if error.code not in EPOCH_ENDED or epoch == self.device.epoch:
                    raise
                self._mark_refused(epoch, error.code)
                self.report.closed_epochs.append(epoch)

    def _mark_refused(self, epoch: str, code: str) -> None:
        """Note on an earlier epoch's batches that the server will not take them. Opens its own transaction."""
        with immediate(self.alias):
            refused = list(unsettled(self._batches(epoch)).only("pk", "receipts"))
            for batch in refused:
                batch.receipts = {**batch.receipts, REFUSED: code}
            OutgoingBatch.objects.using(self.alias).bulk_update(refused, ["receipts"], batch_size=500)

    def send(self, batch: OutgoingBatch) -> None:
        """Send one batch and keep its receipt; where the server lacks earlier ones, send those first."""
        self.settle(batch, self.post(batch))

    def settle(self, batch: OutgoingBatch, body: dict[str, Any]) -> None:
        """Keep the receipt in the server's answer; where the server lacks earlier batches, send those first."""
        expected = body.get("expected")
        if asks_for_earlier(body) and isinstance(expected, int):
            if not 1 <= expected < batch.number:
                raise NotTheServer(url=self.server.url, status=202)
            if expected == 1 and self.device.began.get("kind") == "continues":
                self.ask()  # the whole epoch is lost there: what is lost of those before comes first
            self._send_again(batch, expected)
            return
        self._keep(batch, body)

    def _send_again(self, batch: OutgoingBatch, expected: int) -> None:
        """The server's head is behind ours (restored from a backup): send from there, as stored."""
        for number in range(expected, batch.number + 1):
            earlier = self._batch(batch.epoch, number)
            body = self.post(earlier)
            if asks_for_earlier(body):
                raise NotTheServer(url=self.server.url, status=202)
            self._keep(earlier, body)

    def ask(self) -> None:
        """With nothing to send: ask what the server holds, and send again what it has lost."""
        body = self.server.get("devices/me").body
        epochs = body.get("epochs")
        if not isinstance(epochs, list) or not all(map(is_epoch, epochs)):
            raise NotTheServer(url=self.server.url, status=200)
        held: dict[str, dict[str, Any]] = {one["epoch"]: one for one in epochs}
        own: dict[str, Any] = held.get(self.device.epoch, {})
        self._check_copy(held)
        self.take_recipients(body.get("recipients"))
        self.report.applied_number = self._applied(own)
        self.report.parked = body["parked"] if type(body.get("parked")) is int else None
        self.take([receipt for one in held.values() for receipt in one.get("receipts") or []])
        LocalDevice.objects.using(self.alias).filter(pk=self.device.pk).update(
            applied_number=self.report.applied_number
        )
        for epoch, last in self._delivered():
            head = held.get(epoch, {}).get("head_number", 0)
            if isinstance(head, int) and head < last:
                try:
                    self._send_again(self._batch(epoch, last), head + 1)
                except ServerRefused as error:
                    if error.code not in EPOCH_ENDED or epoch == self.device.epoch:
                        raise
                    self.report.closed_epochs.append(epoch)

    def _applied(self, own: dict[str, Any]) -> int:
        """Up to which batch of this epoch the home server has applied: by its signed word alone."""
        about = (APPLIED, self.device.name, self.device.epoch)
        receipts = [one for one in own.get("receipts") or [] if is_signed_by(RECEIPT, one, self.device.server_key)]
        said = [one for one in receipts if tuple(one.get(name) for name in ("kind", "device", "epoch")) == about]
        return max((one["number"] for one in said if type(one.get("number")) is int), default=0)

    def _check_copy(self, held: dict[str, dict[str, Any]]) -> None:
        """The server must not hold more of this device than the device knows. DeviceRestored."""
        epochs = sorted(held.values(), key=lambda one: one.get("ordinal", 0))
        own = [one.get("epoch") for one in epochs].index(self.device.epoch) if self.device.epoch in held else None
        later = [] if own is None else [one for one in epochs[own + 1 :] if one.get("head_number")]
        head = held.get(self.device.epoch, {}).get("head_number", 0)
        newest = self._batches(self.device.epoch).aggregate(last=Max("number"))["last"] or 0
        if later or (isinstance(head, int) and head > newest):
            raise DeviceRestored(device=self.device.name, held=later[-1]["head_number"] if later else head, own=newest)

    def _delivered(self) -> list[tuple[str, int]]:
        """Each epoch with receipts and the last number that has one, in the order of the epochs."""
        delivered = OutgoingBatch.objects.using(self.alias).filter(device=self.device, receipts__has_key=HELD)
        lasts = delivered.order_by().values("epoch").annotate(last=Max("number"), latest=Max("id")).order_by("latest")
        return list(lasts.values_list("epoch", "last"))

    def post(self, batch: OutgoingBatch) -> dict[str, Any]:
        """Send the stored bytes and return the answer, which must be about them. Touches no database."""
        failpoint("push.before_send")
        body = self.server.post("batches", bytes(batch.content), BATCH_TYPE, proof_of(batch)).body
        failpoint("push.after_answer")
        if (body.get("epoch"), body.get("number"), body.get("hash")) != (batch.epoch, batch.number, batch.hash):
            raise NotTheServer(url=self.server.url, status=200)
        return body

    def _keep(self, batch: OutgoingBatch, body: dict[str, Any]) -> None:
        """Check the receipt and mark the batch's transactions. Opens its own transaction; may run twice."""
        receipt = checked_receipt(body.get("receipt"), self.device, batch)
        with immediate(self.alias):
            stored = OutgoingBatch.objects.using(self.alias).filter(pk=batch.pk)
            known = stored.select_for_update().values_list("receipts", flat=True).get()
            stored.update(receipts={**known, HELD: receipt})
            sent = OutgoingTransaction.objects.using(self.alias).filter(
                id__gte=batch.first_id, id__lte=batch.last_id, device=self.device.name
            )
            sent = sent.filter(batch_epoch=batch.epoch, batch_number=batch.number)
            sent.update(is_consumed_server=True)
            LocalDevice.objects.using(self.alias).filter(
                pk=self.device.pk, epoch=batch.epoch, acknowledged_number__lt=batch.number
            ).update(acknowledged_number=batch.number)
        failpoint("push.after_receipt")
        self.take(body.get("statements"))
        self.take_recipients(body.get("recipients"))
        self._count(batch)

    def take(self, statements: Any) -> None:
        """Statements in an answer: what is to be believed of them has its effect. Opens its own transaction."""
        if isinstance(statements, list) and statements:
            take_statements(self.alias, statements, via=f"{self.report.server}, by push")

    def take_recipients(self, told: Any) -> None:
        """The server's new list of recipients, in an answer. Opens its own transaction. A list that cannot be taken
        is kept as an error, and keeps no batch waiting."""
        if told is None or RECIPIENTS_HEADER not in self.server.client.headers:
            return
        try:
            take_list(self.alias, told, server=self.device.server_name, server_key=self.device.server_key)
        except SyncError as error:
            self.recipients_error = error
            del self.server.client.headers[RECIPIENTS_HEADER]  # it is not told again and again in this run
            return
        self.recipients_taken = True
        self.device.refresh_from_db(using=self.alias, fields=["recipients_digest"])
        self.server.client.headers[RECIPIENTS_HEADER] = self.device.recipients_digest

    def _count(self, batch: OutgoingBatch) -> None:
        self.report.batches += 1
        self.report.transactions += batch.lines
        self.report.bytes += batch.size
        self.progress(batch.lines)

    def _batches(self, epoch: str) -> QuerySet[OutgoingBatch]:
        return OutgoingBatch.objects.using(self.alias).filter(device=self.device, epoch=epoch)

    def _batch(self, epoch: str, number: int) -> OutgoingBatch:
        batch = self._batches(epoch).filter(number=number).first()
        if batch is None:
            raise BatchGone(device=self.device.name, number=number)
        return batch

    def _epochs(self) -> list[str]:
        """Epochs with batches that have no receipt, in order; the present one last."""
        pending = unsettled(OutgoingBatch.objects.using(self.alias).filter(device=self.device))
        found = list(dict.fromkeys(pending.order_by("id").values_list("epoch", flat=True)))
        return sorted(found, key=lambda epoch: epoch == self.device.epoch)

    def _unreceipted(self, epoch: str) -> Iterator[int]:
        pending = unsettled(self._batches(epoch)).order_by("number")
        yield from list(pending.values_list("number", flat=True))


def asks_for_earlier(body: dict[str, Any]) -> bool:
    """Whether the answer says that the batch waits for earlier ones."""
    return body.get("state") == "early"


def proof_of(batch: OutgoingBatch) -> dict[str, str]:
    """The header that tells a server what it once said of the batch, which it may have lost since."""
    receipt = batch.receipts.get(HELD)
    return {} if receipt is None else {RECEIPT_HEADER: json.dumps(receipt, separators=(",", ":"))}


def device_seals() -> bool:
    """Whether payloads are sealed here at all. A wrong setting is told where it is sealed."""
    try:
        return bool(sealed_models())
    except SealedModelsInvalid:
        return False


def is_epoch(facts: Any) -> bool:
    """Whether it has the form of what a server tells of an epoch."""
    return (
        isinstance(facts, dict)
        and isinstance(facts.get("epoch"), str)
        and all(type(facts.get(name, 0)) is int for name in ("ordinal", "head_number"))
        and isinstance(facts.get("receipts"), list | None)
    )


def checked_receipt(receipt: Any, device: LocalDevice, batch: OutgoingBatch) -> dict[str, Any]:
    """The receipt, if it is the pinned server's word about this batch. Raises ReceiptInvalid."""
    if not is_signed_by(RECEIPT, receipt, device.server_key):
        raise ReceiptInvalid(what="its signature is not that of the server this device enrolled with")
    said = tuple(receipt.get(name) for name in ("kind", "device", "epoch", "number", "hash"))
    if said != (HELD, device.name, batch.epoch, batch.number, batch.hash):
        raise ReceiptInvalid(what="it speaks of another batch")
    return dict(receipt)
