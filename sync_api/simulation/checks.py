"""What must hold once everything has been delivered, consumed and released."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from audit.fields import from_microseconds
from audit.models import Device
from sync_api.models import (
    CarriedBatch,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    OutgoingBatch,
    OutgoingTransaction,
    ParkedRecord,
    ParkedUnit,
)
from sync_api.models.outgoing import BASELINE_REASON
from sync_api.simulation.computers import Computer
from sync_api.simulation.erasures import erased_records, erasure_problems
from sync_api.simulation.fold import Folded, Version, as_held, as_of, fold, mirrored
from sync_api.simulation.truth import Rows
from sync_api.verification import verify_chain

if TYPE_CHECKING:
    from sync_api.simulation.world import World

PAST_STATES = 3
"""Past states looked at per device."""

Versions: TypeAlias = dict[tuple[str, str], list[Version]]

STORED = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)


def check_everything(world: World, moment: int) -> tuple[list[str], str]:
    """(every broken promise as a sentence, what was looked at)."""
    problems: list[str] = []
    counts: Counter[str] = Counter()
    chance = random.Random(moment)
    server = world.server.alias
    for computer in world.computers.values():
        with computer.at_work():
            problems += [f"{computer.name}: {problem}" for problem in verify_chain(computer.alias).problems]
    problems += unapplied_without_reason(server)
    for device in Device.objects.using(server).order_by("name"):
        folded = fold(server, device)
        problems += [f"{device.name}: {problem}" for problem in mirror_problems(server, device, folded, chance)]
        counts["lines"] += folded.lines
        counts["versions"] += sum(map(len, folded.versions.values()))
    problems += erasure_problems(world)
    problems += handing_on_problems(world)
    for computer in world.laptops():
        found = laptop_problems(world, computer, chance)
        problems += [f"{computer.name}: {problem}" for problem in found]
        counts["laptops"] += 1
    facts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return problems, f"all holds: {facts}"


def mirror_problems(alias: str, device: Device, folded: Folded, chance: random.Random) -> Iterator[str]:
    """The mirror is the fold of the log: version by version, now and at past moments."""
    yield from folded.problems
    found = mirrored(alias, device)
    expected = {
        record: as_held(versions, found.get(record, [])) for record, versions in folded.versions.items() if versions
    }
    yield from differences(expected, found)
    moments = sorted({version.begun for versions in expected.values() for version in versions})
    for moment in chance.sample(moments, min(PAST_STATES, len(moments))):
        then = {
            record: version.values
            for record, versions in expected.items()
            for version in versions
            if version.is_at(moment)
        }
        if as_of(alias, device, from_microseconds(moment)) != then:
            yield f"the mirror as of {from_microseconds(moment)} is not the fold of the log"


def differences(expected: Versions, found: Versions) -> Iterator[str]:
    for record in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(record, []), found.get(record, [])
        if len(wanted) != len(there):
            yield f"{' '.join(record)} has {len(there)} versions in the mirror, {len(wanted)} by the log"
        elif wanted != there:
            yield f"the versions of {' '.join(record)} are not those of the log"


def unapplied_without_reason(alias: str) -> Iterator[str]:
    """Every line is applied, or it belongs to a unit that is listed with a reason."""
    lines = IncomingTransaction.objects.using(alias)
    units = {
        (unit.batch_id, unit.unit): unit
        for unit in ParkedUnit.objects.using(alias).filter(state__in=["parked", "ignored"])
    }
    for line in lines.filter(is_consumed=False).iterator():
        unit = units.get((line.batch_id, line.unit))
        where = f"line {line.sequence} of batch {line.batch_id} ({line.action} {line.tx_name})"
        if unit is None:
            yield f"{where} is not applied, and no parked unit says why"
        elif unit.state == "parked" and not (unit.code and unit.text and unit.next_step and line.is_error):
            yield f"{where} is parked without a reason"
        elif unit.state == "ignored" and not (unit.ignored_reason and line.is_ignored):
            yield f"{where} is ignored without a reason"
    for line in lines.filter(is_consumed=True, is_error=True).iterator():
        yield f"line {line.sequence} of batch {line.batch_id} is applied and set aside at once"
    for epoch in IncomingEpoch.objects.using(alias):
        if epoch.consumed_number != epoch.head_number:
            yield f"{epoch} is consumed up to {epoch.consumed_number} of {epoch.head_number}"


def overtaking(alias: str) -> Iterator[str]:
    """Lines that were applied although a parked unit before them has their record, or one that they refer to."""
    parked = ParkedUnit.objects.using(alias).filter(state="parked").select_related("batch__epoch")
    first: dict[tuple[int, str, str], tuple[int, int]] = {}
    for unit in parked:
        for line in IncomingTransaction.objects.using(alias).filter(batch=unit.batch_id, unit=unit.unit):
            record = (unit.batch.epoch_id, line.tx_name, line.tx_pk)
            first[record] = min(first.get(record, place_of(unit.batch, line)), place_of(unit.batch, line))
    batches = IncomingBatch.objects.using(alias).filter(epoch__in={epoch for epoch, _, _ in first}).defer("content")
    for batch in batches:
        for line in IncomingTransaction.objects.using(alias).filter(batch=batch, is_consumed=True):
            for label, key in ((line.tx_name, line.tx_pk), *referred(batch, line)):
                if first.get((batch.epoch_id, label, key), (place_of(batch, line))) < place_of(batch, line):
                    yield f"batch {batch.number} line {line.sequence} overtook the parked {label} {key}"


def place_of(batch: IncomingBatch, line: IncomingTransaction) -> tuple[int, int]:
    return (batch.number, line.sequence)


def referred(batch: IncomingBatch, line: IncomingTransaction) -> Iterator[tuple[str, str]]:
    """The records that a line's foreign keys name."""
    fields = batch.header["models"][line.model_index]["fields"]
    for (_, _, label), value in zip(fields, orjson.loads(line.payload or "[]"), strict=False):
        if label is not None and value is not None:
            yield label, str(value)


def laptop_problems(world: World, computer: Computer, chance: random.Random) -> Iterator[str]:
    """What one laptop has sealed is on the server, once and as it was; what its user saw is what the mirror says."""
    device = Device.objects.using(world.server.alias).get(name=computer.device)
    yield from transport_problems(world, computer, device)
    account = world.accounts[computer.name]
    held_back = set(
        ParkedRecord.objects.using(world.server.alias)
        .filter(parked_unit__device=device, parked_unit__state__in=["parked", "ignored"])
        .values_list("tx_name", "tx_pk")
    )
    current = {
        record: versions[-1].values
        for record, versions in mirrored(world.server.alias, device).items()
        if versions[-1].ended is None
    }
    rows = {**account.wiped, **account.rows}
    erased = erased_records(world.server.alias, device)
    yield from state_problems(rows, current, held_back | erased, both_ways=account.is_pure, when="now")
    if not account.is_pure or held_back:
        return
    for moment in chance.sample(sorted(account.states), min(PAST_STATES, len(account.states))):
        then = as_of(world.server.alias, device, from_microseconds(moment))
        yield from state_problems(account.states[moment], then, erased, both_ways=True, when=f"as of {moment}")


def state_problems(
    rows: Rows, mirror: Rows, held_back: set[tuple[str, str]], *, both_ways: bool, when: str
) -> Iterator[str]:
    for record in sorted(rows.keys() | (mirror.keys() if both_ways else set())):
        if record not in held_back and rows.get(record) != mirror.get(record):
            there = "is missing" if record not in mirror else "differs" if record in rows else "should be gone"
            yield f"{' '.join(record)} {there} in the mirror {when}"


def handing_on_problems(world: World) -> list[str]:
    """What must hold once every middleman has handed on, before any laptop speaks to the server itself."""
    problems = list(handed_problems(world))
    for middleman in world.relays():
        problems += [f"{middleman.name}: {problem}" for problem in carried_problems(world, middleman)]
    return problems


def handed_problems(world: World) -> Iterator[str]:
    """What was given to a middleman arrives without its laptop, were it only behind a gap."""
    for middleman in world.relays():
        refused = CarriedBatch.objects.using(middleman.alias).exclude(refusal="")
        epochs = set(refused.values_list("device", "epoch"))
        for device, epoch, number, hash_hex in sorted(world.handed[middleman.name]):
            there = IncomingBatch.objects.using(world.server.alias).filter(hash=hash_hex, epoch__epoch=epoch)
            if (device, epoch) not in epochs and not there.exists():
                yield f"batch {number} of {device} was given to {middleman.name} and has not arrived"


def carried_problems(world: World, middleman: Computer) -> Iterator[str]:
    """What a middleman carries is on the server, or was refused there with a code, or stands behind such a one."""
    refused: set[tuple[str, str]] = set()
    for carried in CarriedBatch.objects.using(middleman.alias).order_by("device", "epoch", "number").defer("content"):
        there = IncomingBatch.objects.using(world.server.alias).filter(
            epoch__device__name=carried.device, epoch__epoch=carried.epoch, number=carried.number, hash=carried.hash
        )
        if carried.refusal:
            refused.add((carried.device, carried.epoch))
        if (carried.device, carried.epoch) not in refused and not there.exists():
            yield f"batch {carried.number} of {carried.device} is carried, not refused, and not on the server"


def transport_problems(world: World, computer: Computer, device: Device) -> Iterator[str]:
    server = world.server.alias
    outgoing = OutgoingTransaction.objects.using(computer.alias).filter(device=computer.device)
    if outgoing.filter(batch_number=None).exists():
        yield "transactions are not sealed"
    for batch in OutgoingBatch.objects.using(computer.alias).filter(device__name=computer.device).order_by("id"):
        stored = IncomingBatch.objects.using(server).filter(
            epoch__device=device, epoch__epoch=batch.epoch, number=batch.number, hash=batch.hash
        )
        held = stored.filter(state__in=STORED).defer("content").first()
        where = f"batch {batch.number} of epoch {batch.epoch[:8]}"
        if held is None:
            if "held" in batch.receipts:
                yield f"{where} has a receipt, and the server does not hold it"
            elif world.accounts[computer.name].is_pure:
                yield f"{where} did not arrive"
            continue
        if "held" not in batch.receipts and world.accounts[computer.name].is_pure:
            yield f"{where} arrived, and its receipt did not come back"
        rows = outgoing.filter(batch_epoch=batch.epoch, batch_number=batch.number).order_by("id")
        columns = ("unit", "tx_name", "tx_pk", "previous_pk", "action", "payload", "user", "reason", "is_baseline")
        sent = list(rows.values_list(*columns, "is_consumed_server"))
        lines = IncomingTransaction.objects.using(server).filter(batch=held).order_by("sequence")
        got = list(lines.values_list(*columns))
        twins = list(zip(sent, got, strict=False))
        if len(sent) != len(got) or any(told(row, twin) != told(twin, row) for row, twin in twins):
            yield f"{where} has other lines on the server than on the laptop"
        elif partition(map(unit_of, sent, range(len(sent)))) != partition([row[0] for row in got]):
            yield f"{where} has other units on the server than on the laptop"
        if "held" in batch.receipts and not all(row[-1] for row in sent):
            yield f"{where} has a receipt, and its transactions are not marked"
    sealed = outgoing.exclude(batch_number=None).filter(is_baseline=False).order_by()
    units = sealed.values_list("unit", "batch_epoch", "batch_number").distinct()
    for unit, batches in Counter(unit for unit, _, _ in units).items():
        if batches > 1:
            yield f"unit {unit} was split over {batches} batches"


def told(row: tuple[Any, ...], like: tuple[Any, ...]) -> tuple[Any, ...]:
    """A line without its unit's number and, where it was wiped on the laptop or erased on either side, its payload."""
    is_forgotten = row[5] is None or like[5] is None
    return (*row[1:5], None if is_forgotten else row[5], *row[6:9])


def unit_of(row: tuple[Any, ...], place: int) -> int:
    """The unit that a captured row is sealed in: a row that a baseline told is one by itself."""
    is_told = row[8] and row[7] == BASELINE_REASON
    return -1 - place if is_told else int(row[0])


def partition(numbers: Iterable[int]) -> list[int]:
    """Where units begin, whatever their numbers are."""
    units = list(numbers)
    return [index for index, unit in enumerate(units) if index == 0 or unit != units[index - 1]]
