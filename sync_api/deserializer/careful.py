"""Units at which the program itself fails are set aside like others, so that no such unit stops its device."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from django.db import Error, transaction

from sync_api.deserializer import troubles
from sync_api.deserializer.decode import Decoded, decode_lines
from sync_api.deserializer.lines import Line
from sync_api.deserializer.settle import Settled, Settlement, Work, settle
from sync_api.deserializer.troubles import Trouble
from sync_api.deserializer.units import Record

logger = logging.getLogger(__name__)


def settle_carefully(
    work: Work, lines: Sequence[Line], held: Mapping[Record, int], decoded: Decoded | None = None
) -> Settled:
    """As `settle`, which writes nothing when it fails; then the units at which it does are found, and left out.

    A failure of the database is raised, as is one that no single unit has.
    """
    try:
        return settle(work, lines, held, decoded)
    except Error:
        raise
    except Exception as error:  # whatever it is: a study's own code works on the values
        failing = failing_units(work, lines, held)
        if not failing:
            raise
        facts = {"device": work.device.name, "source": work.reference, "kind": type(error).__name__}
        logger.error("units at which the program fails are set aside", extra={**facts, "units": len(failing)})
        return Settlement(work, lines, decoded_without(work, lines, failing), held).run()


def failing_units(work: Work, lines: Sequence[Line], held: Mapping[Record, int]) -> dict[int, Trouble]:
    """By unit: the trouble of those that fail alone, found by halves; everything tried is taken back."""
    by_unit: dict[int, list[Line]] = {}
    for line in lines:
        by_unit.setdefault(line.unit, []).append(line)
    failing: dict[int, Trouble] = {}
    halves = [list(by_unit)]
    while halves:
        units = halves.pop()
        kind = failure_of(work, [line for unit in units for line in by_unit[unit]], held)
        if kind and len(units) > 1:
            middle = len(units) // 2
            halves += [units[middle:], units[:middle]]
        elif kind:
            first = by_unit[units[0]][0]
            failing[units[0]] = troubles.failed(first.tx_name, first.tx_pk, kind)
    return failing


def failure_of(work: Work, lines: Sequence[Line], held: Mapping[Record, int]) -> str:
    """The class of the error with which these lines fail; empty if they do not."""
    try:
        with transaction.atomic(using=work.alias):
            settle(work, lines, held)
            transaction.set_rollback(True, using=work.alias)
    except Error:
        raise
    except Exception as error:
        return type(error).__name__
    return ""


def decoded_without(work: Work, lines: Sequence[Line], failing: Mapping[int, Trouble]) -> Decoded:
    """The lines decoded, those of the failing units left alone: they have their trouble."""
    good = [number for number, line in enumerate(lines) if line.unit not in failing]
    found = decode_lines(work.alias, work.header, [lines[number] for number in good])
    decoded = Decoded([None] * len(lines), {}, found.decoders)
    for place, number in enumerate(good):
        decoded.changes[number] = found.changes[place]
    decoded.troubles.update((good[place], trouble) for place, trouble in found.troubles.items())
    decoded.troubles.update((number, failing[line.unit]) for number, line in enumerate(lines) if line.unit in failing)
    return decoded
