"""Bugs of the kind that would break a promise, each put in by a patch of the product. Test-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from django.db import transaction

from sync_api.capture import triggers_sqlite
from sync_api.client import deliver
from sync_api.deserializer import retry, settle
from sync_api.deserializer.units import Units
from sync_api.finalizing import drive, wiping
from sync_api.inbox import place
from sync_api.models import CarriedBatch, Finalization
from sync_api.rest import batches
from sync_api.sealing import pending

accept, client_relay, consume, seal = map(
    import_module,
    ("sync_api.inbox.accept", "sync_api.client.relay", "sync_api.deserializer.consume", "sync_api.sealing.seal"),
)
"""Modules whose packages have a function of the same name."""

Bug = Callable[[], AbstractContextManager[None]]
BUGS: dict[str, Bug] = {}


def bug(plant: Callable[[], Iterator[None]]) -> Bug:
    """A planted bug, by its function's name; the docstring says what is wrong."""
    BUGS[plant.__name__.replace("_", "-")] = contextmanager(plant)
    return BUGS[plant.__name__.replace("_", "-")]


@bug
def acknowledge_before_commit() -> Iterator[None]:
    """The server answers with a receipt, and the transaction of every second batch is lost."""
    right = batches.accept

    def wrong(alias: str, content: bytes, *args: Any, **kwargs: Any) -> Any:
        with transaction.atomic(using=alias):
            accepted = right(alias, content, *args, **kwargs)
            if accepted.number % 2 == 0:
                transaction.set_rollback(True, using=alias)
        return accepted

    with patch.object(batches, "accept", wrong), no_asking():
        yield


@contextmanager
def no_asking() -> Iterator[None]:
    """Without the device's question what the server holds, which would mend what is lost."""
    with patch.object(deliver.Deliverer, "_delivered", lambda self: []):
        yield


@bug
def skip_a_duplicate_check() -> Iterator[None]:
    """A batch that comes again has its lines stored again."""
    right = place._seen_before

    def wrong(alias: str, delivery: Any, epoch: Any) -> Any:
        seen = right(alias, delivery, epoch)
        if seen is not None and seen.state == "duplicate":
            batch = place.IncomingBatch.objects.using(alias).get(epoch=epoch, hash=delivery.hash)
            lines = place.IncomingBatch.transactions.rel.related_model.objects.using(alias).filter(batch=batch)
            for line in list(lines):
                line.pk = None
                line.is_consumed = False
                line.save(using=alias, force_insert=True)
        return seen

    with patch.object(place, "_seen_before", wrong):
        yield


@bug
def split_a_unit() -> Iterator[None]:
    """A batch ends after so many lines, also in the middle of a unit."""
    right = pending.contiguous_units
    most = 6

    def wrong(*args: Any) -> Any:
        return right(*args)[:most]

    with patch.object(pending, "contiguous_units", wrong):
        yield


@bug
def renumber_a_batch() -> Iterator[None]:
    """Every third batch takes the number after its own."""
    right = seal.header_and_lines

    def wrong(alias: str, device: Any, *args: Any) -> Any:
        header, lines = right(alias, device, *args)
        if header["number"] % 3 == 0:
            header["number"] += 1
        return header, lines

    with patch.object(seal, "header_and_lines", wrong):
        yield


@bug
def forget_the_previous_hash() -> Iterator[None]:
    """A batch does not name the one before it, and the server does not look."""
    right_seal, right_place = seal.header_and_lines, place.place

    def wrong_seal(*args: Any) -> Any:
        header, lines = right_seal(*args)
        header["previous"] = ""
        return header, lines

    class Looked(str):
        __slots__ = ()

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    def wrong_place(alias: str, delivery: Any) -> Any:
        object.__setattr__(delivery.header, "previous", Looked(delivery.header.previous))
        return right_place(alias, delivery)

    with patch.object(seal, "header_and_lines", wrong_seal), patch.object(accept, "place", wrong_place):
        yield


@bug
def drop_a_delete_in_capture() -> Iterator[None]:
    """No table's deletes are recorded."""
    with without_delete_triggers(lambda captured: True):
        yield


@bug
def lose_a_many_to_many_removal() -> Iterator[None]:
    """Deletes of the tables between two models are not recorded."""
    with without_delete_triggers(lambda captured: bool(captured.schema.model._meta.auto_created)):
        yield


@contextmanager
def without_delete_triggers(chosen: Callable[[Any], bool]) -> Iterator[None]:
    right = triggers_sqlite.triggers

    def wrong(captured: Any) -> Any:
        kept = right(captured)
        return [one for one in kept if not (chosen(captured) and "AFTER DELETE" in one.body)]

    with patch.object(triggers_sqlite, "triggers", wrong):
        yield


@bug
def apply_out_of_order() -> Iterator[None]:
    """The units of a batch are applied last one first."""
    right = consume.pending_lines

    def wrong(*args: Any, **kwargs: Any) -> Any:
        return sorted(right(*args, **kwargs), key=lambda line: -line.unit)

    with patch.object(consume, "pending_lines", wrong):
        yield


@bug
def swallow_a_failed_unit() -> Iterator[None]:
    """A unit that cannot be applied is not parked, and counts as consumed."""
    with patch.object(consume, "park", lambda *args, **kwargs: None):
        yield


@bug
def apply_parked_dependants() -> Iterator[None]:
    """Units behind a parked one are applied all the same."""
    right = Units.waiting

    def wrong(self: Units, own: Any, earlier: Any) -> Any:
        return {unit: parked for unit, parked in right(self, own, {}).items() if unit in own}

    with patch.object(Units, "waiting", wrong):
        yield


@bug
def apply_half_a_unit() -> Iterator[None]:
    """Of a unit that fails, only the failing line is left out."""

    def wrong(self: Any) -> Any:
        bad = {id(line) for line, _ in self.own.values()}
        return [number for number, line in enumerate(self.lines) if id(line) not in bad]

    with patch.object(settle.Settlement, "applicable", wrong):
        yield


@bug
def reuse_a_consumed_mark() -> Iterator[None]:
    """Lines of a released unit stay marked as set aside."""
    with patch.object(retry, "mark_released", lambda *args, **kwargs: None):
        yield


@bug
def skip_a_row_in_sealing() -> Iterator[None]:
    """After every second batch, the sealer goes on one row too late."""
    right = seal.mark_sealed

    def wrong(alias: str, batch: Any, rows: Any) -> None:
        right(alias, batch, rows)
        if batch.number % 2 == 0:
            batch.last_id += 1

    with patch.object(seal, "mark_sealed", wrong):
        yield


@bug
def order_by_the_clock() -> Iterator[None]:
    """Transactions are sealed in the order of the device's clock."""
    right = pending.contiguous_units

    def wrong(*args: Any) -> Any:
        return sorted(right(*args), key=lambda row: row.captured_at)

    with patch.object(pending, "contiguous_units", wrong):
        yield


@bug
def not_send_again_after_a_restore() -> Iterator[None]:
    """A device does not send again what a restored server has lost."""
    with no_asking(), patch.object(deliver.Deliverer, "_send_again", lambda *args: None):
        yield


@bug
def take_any_baseline_for_identical() -> Iterator[None]:
    """A baseline row that differs from the mirror is passed over."""
    with patch("audit.engine.planning.same_values", lambda *args: True):
        yield


@bug
def lose_the_last_update_of_a_unit() -> Iterator[None]:
    """Of several changes of one record in one unit, the last is lost in consuming."""
    right = consume.pending_lines

    def wrong(*args: Any, **kwargs: Any) -> Any:
        lines = right(*args, **kwargs)
        kept, seen = [], set()
        for line in lines:
            place_of = (line.unit, line.tx_name, line.tx_pk)
            if line.action != "U" or place_of not in seen:
                kept.append(line)
            seen.add(place_of)
        return kept

    with patch.object(consume, "pending_lines", wrong):
        yield


@bug
def wipe_before_the_receipt() -> Iterator[None]:
    """A laptop removes its records as soon as they are marked."""
    right = drive.confirm

    def wrong(alias: str, finalization: Any) -> bool:
        right(alias, finalization)
        Finalization.objects.using(alias).filter(pk=finalization.pk).update(state=Finalization.State.CONFIRMED)
        finalization.refresh_from_db(using=alias)
        return True

    with (
        patch.object(drive, "confirm", wrong),
        patch.object(wiping, "require_proof", lambda *args: None),
        patch.object(wiping, "forget_payloads", lambda *args: None),
    ):
        yield


@bug
def wipe_what_was_changed_since() -> Iterator[None]:
    """The wipe removes records that were changed after the mark."""
    with patch.object(wiping, "changed_since", lambda *args: set()):
        yield


@bug
def purge_before_it_is_durable() -> Iterator[None]:
    """A middleman makes room, at a server, by removing what it has not handed on yet."""
    right = client_relay.Handing.exchange

    def wrong(self: Any) -> None:
        right(self)
        CarriedBatch.objects.using(self.alias).exclude(state=CarriedBatch.State.DELIVERED).delete()

    with patch.object(client_relay.Handing, "exchange", wrong):
        yield


@bug
def relay_only_the_first_batch() -> Iterator[None]:
    """A middleman hands on the first batch of an epoch, and calls those behind it delivered."""
    right = client_relay.Handing.hand_on_epoch

    def wrong(self: Any, parcels: Any) -> Any:
        is_early = right(self, parcels[:1])
        rest = [parcel.carried.pk for parcel in parcels[1:] if parcel.carried is not None]
        CarriedBatch.objects.using(self.alias).filter(pk__in=rest).update(state=CarriedBatch.State.DELIVERED)
        return is_early

    with patch.object(client_relay.Handing, "hand_on_epoch", wrong):
        yield
