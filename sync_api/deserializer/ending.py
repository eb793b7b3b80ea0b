"""The end of an era: what a mark says is compared with what arrived; only then its records leave the era NOW."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.apps import apps
from django.db import Error, transaction
from django.db.models import Q

from audit.clock import next_moment
from audit.engine import Key, preserve_device
from audit.exceptions import NotMirrored
from audit.fields import from_microseconds
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, table_for
from audit.models import Source, TableChanges
from sync_api.deserializer import troubles
from sync_api.deserializer.eras import ordinal_of, units_of_eras
from sync_api.deserializer.fold import Fold, batches_until, differences, fold_until
from sync_api.deserializer.lines import Line, mark_ignored
from sync_api.deserializer.settle import Work
from sync_api.deserializer.troubles import Trouble
from sync_api.deserializer.units import Head, Parked, Units
from sync_api.models import IncomingBatch, IncomingEra, IncomingTransaction, ParkedUnit
from sync_api.wire.marks import MARK, MARK_LABEL, Mark, digest_of, read_mark

logger = logging.getLogger(__name__)

PARKED = ParkedUnit.State.PARKED


class Ended(NamedTuple):
    """What a mark came to: the mirror's changes, or the unit to set aside."""

    changes: list[TableChanges]
    waiting: dict[int, Parked]
    units: Units


def without_marks(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """The lines that change records, and the marks (one at most, the last)."""
    if not lines or lines[-1].action != MARK or lines[-1].tx_name != MARK_LABEL:
        return lines, []
    return lines[:-1], lines[-1:]


def end_era(work: Work, batch: IncomingBatch, line: Line, *, now: datetime) -> Ended:
    """Preserve the records of a mark, if nothing of the era is parked and everything arrived and was applied.

    Counts and hashes of the fold of the received transactions must be the mark's, and the mirror must hold a current
    version of each of these records and of no other that they deleted. The outcome is stored in IncomingEra either
    way, for the device to read in its receipt. Call inside the transaction that consumes or retries the batch, after
    its other units; done twice, the second time changes nothing.
    """
    try:
        with transaction.atomic(using=work.alias):
            return try_to_end(work, batch, line, now=now)
    except Error:
        raise
    except Exception as error:  # as with any unit, the program's own failure must not stop the device
        logger.error("a mark at which the program fails is set aside", extra={"kind": type(error).__name__})
        failed = Parked(line, troubles.failed(MARK_LABEL, line.tx_pk, type(error).__name__))
        return Ended([], {line.unit: failed}, Units([line], []))


def try_to_end(work: Work, batch: IncomingBatch, line: Line, *, now: datetime) -> Ended:
    units = Units([line], [])
    try:
        mark = read_mark(line.payload)
    except ValueError:
        sealed = line.payload is not None and line.payload.startswith('"')
        wrong = troubles.payload_sealed(MARK_LABEL) if sealed else troubles.wrong_payload(MARK_LABEL, line.tx_pk)
        return Ended([], {line.unit: Parked(line, wrong)}, units)
    blocking = parked_before(work, batch)
    if blocking:
        head = Head(parked_id=blocking[0])
        return set_aside(work, batch, line, mark, troubles.era_has_parked(blocking), head, now=now)
    phrases = unlike(work, batch, mark)
    if phrases:
        return set_aside(work, batch, line, mark, troubles.era_differs(phrases), None, now=now)
    era, changes = preserve(work, batch, mark)
    if not mark.is_partial:
        close_eras(work, batch, mark, era, now=now)
    supersede(work, batch, mark, now=now)
    record(work, batch, outcome(mark, now, era=era))
    return Ended(changes, {}, units)


def set_aside(
    work: Work, batch: IncomingBatch, line: Line, mark: Mark, trouble: Trouble, head: Head | None, *, now: datetime
) -> Ended:
    record(work, batch, outcome(mark, now, trouble=trouble))
    return Ended([], {line.unit: Parked(line, trouble, head)}, Units([line], []))


def parked_before(work: Work, batch: IncomingBatch) -> list[int]:
    """Ids of the era's parked units that came before the mark; first those that wait for no other."""
    before = Q(batch__epoch=batch.epoch_id, batch__number__lte=batch.number)
    earlier = Q(batch__epoch__ordinal__lt=batch.epoch.ordinal)
    units = ParkedUnit.objects.using(work.alias).filter(before | earlier, device=work.device, state=PARKED)
    units = units.exclude(tx_name=MARK_LABEL).exclude(batch__is_late=True)
    of_era = units_of_eras(work.alias, units, work.device.pk, {work.era})
    if of_era is None:
        return []
    rows = list(
        of_era.order_by("batch__epoch__ordinal", "batch__number", "unit").values_list("pk", "blocked_by__state")
    )
    return [pk for pk, _ in sorted(rows, key=lambda row: row[1] == PARKED)]


def unlike(work: Work, batch: IncomingBatch, mark: Mark) -> list[str]:
    """One phrase per model in which the mark and what is here differ."""
    try:
        fold = fold_until(work.alias, batch, mark)
    except ValueError:
        return ["records whose values cannot be read here"]
    contents = fold.contents()
    told = {label: replace(content, keys=None) for label, content in mark.models.items() if content.count}
    phrases = differences(contents, told, fold.erased)
    return phrases or unapplied(work, batch, mark, fold)


def unapplied(work: Work, batch: IncomingBatch, mark: Mark, fold: Fold) -> list[str]:
    """Models whose mirror lacks a record of the fold, or still has one that it deleted."""
    eras = eras_of(work, batch, mark)
    skipped = left_out(work, batch)
    phrases = []
    for label in sorted(fold.live.keys() | fold.gone.keys()):
        table = mirror_of(label)
        if table is None:
            continue  # every unit of it was parked, and then ignored by an operator
        current = current_keys(work, table, eras)
        live, gone = fold.live[label].rows.keys(), fold.gone[label]
        wrong = [
            key
            for key in (*live, *gone)
            if (label, key) not in skipped and (table.canonical_key(key) in current) is not (key in live)
        ]
        if wrong:
            phrases.append(f"{label} ({len(wrong)} received and not as in the mirror)")
    return phrases


def eras_of(work: Work, batch: IncomingBatch, mark: Mark) -> set[str]:
    """The mirror's eras in which the mark's records may stand: an earlier mark, given up by the device, may have
    been preserved here all the same."""
    rows = IncomingEra.objects.using(work.alias).filter(
        epoch=batch.epoch_id, ordinal__gte=mark.since, ordinal__lte=ordinal_of(batch)
    )
    eras = {work.era}
    for era, preserved in rows.values_list("era", "preserved"):
        eras.add(era)
        eras |= {told["era"] for told in preserved or [] if told["era"] and told["mark"] not in mark.moved}
    return eras


def current_keys(work: Work, table: MirrorTable, eras: Collection[str]) -> set[Key]:
    rows = table.mirror._default_manager.using(work.alias).filter(
        mirror_device=work.device, mirror_era__in=eras, mirror_current=True
    )
    return {table.canonical_key(key) for key in rows.values_list(table.key, flat=True).iterator()}


def left_out(work: Work, batch: IncomingBatch) -> set[tuple[str, str]]:
    """Records whose mirror may well be another: an operator ignored a change, or a later era's change is applied."""
    lines = IncomingTransaction.objects.using(work.alias)
    ignored = lines.filter(batch__in=batches_until(work.alias, batch).values("pk"), is_ignored=True)
    later = lines.filter(batch__epoch=batch.epoch_id, batch__number__gt=batch.number, is_consumed=True)
    columns = ("tx_name", "tx_pk")
    return {
        *ignored.order_by().values_list(*columns).distinct(),
        *later.order_by().values_list(*columns).distinct(),
    }


def mirror_of(label: str) -> MirrorTable | None:
    try:
        model: Any = apps.get_model(label)
        return table_for(model)
    except (LookupError, ValueError, NotMirrored):
        return None


def preserve(work: Work, batch: IncomingBatch, mark: Mark) -> tuple[str, list[TableChanges]]:
    """The era of the mark's records from now on, and the mirror's changes. An era that ended before stays as it is."""
    if work.era != NOW:
        return work.era, []
    source, _ = Source.objects.using(work.alias).get_or_create(
        device=work.device,
        kind=Source.Kind.BATCH,
        reference=work.reference,
        defaults={"app_version": work.header["app"]},
    )
    era = from_microseconds(next_moment(work.alias)).isoformat()
    changes = preserve_device(
        work.alias,
        work.device,
        era,
        work.committed_by,
        False,
        source=source,
        keys=chosen_keys(mark) if mark.is_partial else None,
        later=later_sources(work, batch),
    )
    return era, changes


def chosen_keys(mark: Mark) -> dict[MirrorTable, set[Key]]:
    chosen = {}
    for label, content in mark.models.items():
        table = mirror_of(label)
        if table is not None:
            chosen[table] = {table.canonical_key(key) for key in content.keys or ()}
    return chosen


def later_sources(work: Work, batch: IncomingBatch) -> list[int]:
    """Ids of the sources after the mark's batch: there are some when the mark was parked."""
    epoch = batch.epoch
    later = epoch.device.epochs.using(work.alias).filter(ordinal__gt=epoch.ordinal)
    later_epochs = set(later.values_list("epoch", flat=True))
    if epoch.consumed_number <= batch.number and not later_epochs:
        return []
    sources = Source.objects.using(work.alias).filter(device=work.device, kind=Source.Kind.BATCH)
    found = []
    for pk, reference in sources.values_list("pk", "reference").iterator():
        its_epoch, _, number = reference.partition("/")
        if its_epoch in later_epochs or (its_epoch == epoch.epoch and int(number) > batch.number):
            found.append(pk)
    return found


def close_eras(work: Work, batch: IncomingBatch, mark: Mark, era: str, *, now: datetime) -> None:
    """The mark's era, and those before it that were not ended, have this name from now on."""
    ordinals = batches_until(work.alias, batch).order_by().values_list("header__era", flat=True).distinct()
    rows = IncomingEra.objects.using(work.alias).filter(epoch=batch.epoch_id)
    own = ordinal_of(batch)
    for ordinal in sorted({ordinal or 0 for ordinal in ordinals} | {own}):
        rows.get_or_create(epoch_id=batch.epoch_id, ordinal=ordinal, defaults={"era": NOW})
    rows.filter(era=NOW, ordinal__lte=own).update(era=era, ended_at=now)
    rows.filter(ordinal=own).update(mark_id=mark.id)


def supersede(work: Work, batch: IncomingBatch, mark: Mark, *, now: datetime) -> None:
    """Earlier marks that are still parked were given up by the device: it makes no second one before."""
    units = ParkedUnit.objects.using(work.alias).filter(
        device=work.device,
        state=PARKED,
        tx_name=MARK_LABEL,
        batch__epoch=batch.epoch_id,
        batch__number__lt=batch.number,
    )
    for unit in units:
        mark_ignored(work.alias, unit.batch_id, unit.unit)
    units.update(
        state=ParkedUnit.State.IGNORED,
        ended_at=now,
        ignored_by=work.committed_by,
        ignored_reason=f"The device gave this mark up; mark {mark.id} took its place.",
    )


def outcome(mark: Mark, now: datetime, *, era: str = "", trouble: Trouble | None = None) -> dict[str, Any]:
    """What is kept of a mark. `era` is empty where it was set aside; `code` and `text` then say why."""
    return {
        "mark": mark.id,
        "is_partial": mark.is_partial,
        "ok": trouble is None,
        "era": era,
        "count": mark.count,
        "sha256": digest_of(mark.models),
        "models": {label: [content.count, content.sha256] for label, content in mark.models.items()},
        "code": trouble.code if trouble else "",
        "text": trouble.text if trouble else "",
        "at": now.isoformat(),
    }


def record(work: Work, batch: IncomingBatch, told: dict[str, Any]) -> None:
    """Keep the outcome with the era, in place of an earlier one of the same mark."""
    rows = IncomingEra.objects.using(work.alias)
    era, _ = rows.get_or_create(epoch_id=batch.epoch_id, ordinal=ordinal_of(batch), defaults={"era": work.era})
    others = [other for other in era.preserved or [] if other["mark"] != told["mark"]]
    rows.filter(pk=era.pk).update(preserved=[*others, told])
