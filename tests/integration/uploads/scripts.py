"""The seed's three manual scripts as data, and the tablet that plays them through any driver.

A driver uploads a tablet's whole database and force-finalizes on the server; both answer with counts by table:
`{"ref_satis_gen": {"added": 1}}`, kinds that did not happen left out. Identical rows are no change and may be there.
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

Counts = dict[str, dict[str, int]]
KINDS = ("added", "modified", "deleted", "preserved")
TABLES = ("blobs", "patient", "photosequence", "photosequence_photos", "progressnote", "ref_satis_gen")
BY_RECORD = frozenset({"blobs"})
"""Tables that a tablet sends record by record."""


class Driver(Protocol):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        """Upload these rows, by table; `_move_off_tablet` stands in rows that are to leave."""

    def force_finalize(self) -> Counts:
        """On the server: every record of the device leaves the era NOW."""

    def standing(self) -> dict[str, tuple[int, int]]:
        """By table with current records: how many are in the era NOW, and how many in older ones."""


class Save(NamedTuple):
    """Create or modify a record on the tablet."""

    table: str
    key: int
    values: dict[str, Any]


class Delete(NamedTuple):
    table: str
    key: int


class Flag(NamedTuple):
    """Mark all records of these tables to leave with the next upload."""

    tables: tuple[str, ...]


class Copy(NamedTuple):
    """Upload; what the server must count, and how many records must then be (current, current in older eras)."""

    counts: Counts
    standing: dict[str, tuple[int, int]]


class Move(NamedTuple):
    """Upload, preserving; the tablet is then emptied."""

    counts: Counts
    standing: dict[str, tuple[int, int]]


class ForceFinalize(NamedTuple):
    counts: Counts
    standing: dict[str, tuple[int, int]]


Step = Save | Delete | Flag | Copy | Move | ForceFinalize


class Tablet:
    """A client that keeps no log: its tables, and a clock that ticks with each change."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.now = datetime(2026, 4, 22, 14, 35, 7, 381_000, tzinfo=UTC)

    def play(self, script: list[Step], driver: Driver) -> None:
        for number, step in enumerate(script, 1):
            if isinstance(step, Save):
                self.save(step)
            elif isinstance(step, Delete):
                del self.tables[step.table][step.key]
            elif isinstance(step, Flag):
                for table in step.tables:
                    for row in self.tables[table].values():
                        row["_move_off_tablet"] = 1
            else:
                counted = self.send(step, driver)
                assert counted == step.counts, f"step {number}: {counted} instead of {step.counts}"
                standing = driver.standing()
                assert standing == step.standing, f"step {number}: {standing} instead of {step.standing}"

    def save(self, step: Save) -> None:
        self.now += timedelta(seconds=61)
        row = self.tables[step.table].setdefault(step.key, {"id": step.key})
        row |= step.values
        row["when_last_modified"] = (self.now + timedelta(hours=1)).replace(tzinfo=None).isoformat() + "+01:00"

    def send(self, step: Copy | Move | ForceFinalize, driver: Driver) -> Counts:
        if isinstance(step, ForceFinalize):
            return driver.force_finalize()
        rows = {table: deepcopy(list(self.tables[table].values())) for table in TABLES}
        is_move = isinstance(step, Move)
        counted = driver.upload(rows, preserving=is_move)
        for table in self.tables.values():
            for key in [key for key, row in table.items() if is_move or row.get("_move_off_tablet")]:
                del table[key]
        return counted


def changes_only(tables: dict[str, dict[str, int]]) -> Counts:
    """Counts without identical rows and without what did not happen."""
    kept = {table: {kind: counts[kind] for kind in KINDS if counts.get(kind)} for table, counts in tables.items()}
    return {table: counts for table, counts in kept.items() if counts}


RSG = "ref_satis_gen"
BLANK: dict[str, Any] = {"service": None, "rating": None, "good": None, "bad": None}
COMPLETE = {"service": "clinic", "rating": 2}

SINGLE_RECORD: list[Step] = [
    Save(RSG, 1, BLANK),
    Copy({RSG: {"added": 1}}, {RSG: (1, 0)}),
    Save(RSG, 1, COMPLETE),
    Copy({RSG: {"added": 1, "modified": 1}}, {RSG: (1, 0)}),
    Move({RSG: {"preserved": 2}}, {RSG: (0, 1)}),
    Save(RSG, 1, BLANK),
    Copy({RSG: {"added": 1}}, {RSG: (1, 1)}),
    Save(RSG, 1, COMPLETE),
    Flag((RSG,)),
    Copy({RSG: {"added": 1, "modified": 1, "preserved": 2}}, {RSG: (0, 2)}),
]

NOTE = "progressnote"
PATIENT = {"forename": "Dummy", "surname": "Patient", "sex": "F", "dob": "1970-01-02"}

WITH_A_PATIENT: list[Step] = [
    Save("patient", 1, PATIENT),
    Save(NOTE, 1, {"patient_id": 1, "location": "loc1", "note": None}),
    Save(NOTE, 2, {"patient_id": 1, "location": "loc2", "note": "note2"}),
    Save(NOTE, 3, {"patient_id": 1, "location": "loc3", "note": "note3"}),
    Copy({"patient": {"added": 1}, NOTE: {"added": 3}}, {"patient": (1, 0), NOTE: (3, 0)}),
    Save(NOTE, 1, {"note": "note1"}),
    Delete(NOTE, 2),
    Copy({NOTE: {"added": 1, "modified": 1, "deleted": 1}}, {"patient": (1, 0), NOTE: (2, 0)}),
    Save(NOTE, 1, {"note": None}),
    Move(
        {"patient": {"preserved": 1}, NOTE: {"added": 1, "modified": 1, "preserved": 5}},
        {"patient": (0, 1), NOTE: (0, 2)},
    ),
    Save("patient", 1, PATIENT),
    Save(NOTE, 1, {"patient_id": 1, "location": "loc4", "note": "note4"}),
    Save(NOTE, 2, {"patient_id": 1, "location": "loc5", "note": None}),
    Copy({"patient": {"added": 1}, NOTE: {"added": 2}}, {"patient": (1, 1), NOTE: (2, 2)}),
    ForceFinalize({"patient": {"preserved": 1}, NOTE: {"preserved": 2}}, {"patient": (0, 2), NOTE: (0, 4)}),
    Move(
        {"patient": {"added": 1, "preserved": 1}, NOTE: {"added": 2, "preserved": 2}},
        {"patient": (0, 3), NOTE: (0, 6)},
    ),
]

SEQUENCE, PHOTO, BLOB = "photosequence", "photosequence_photos", "blobs"
ALL = (BLOB, "patient", SEQUENCE, PHOTO)


def photo(key: int, picture: str, *, name: str = "") -> list[Step]:
    """Take a photo in place `key`: the picture, its row and the sequence are saved."""
    row = {"photosequence_id": 1, "seqnum": key, "photo_blobid": key}
    blob = {"tablename": PHOTO, "tablepk": key, "fieldname": "photo_blobid", "mimetype": "image/jpeg"}
    return [
        Save(BLOB, key, {**blob, "theblob": {"hex": picture.encode().hex() + "00ff"}}),
        Save(PHOTO, key, row | ({"description": name} if name else {})),
        Save(SEQUENCE, 1, {"patient_id": 1}),
    ]


ONE_MORE = {
    BLOB: {"added": 1, "modified": 1},
    SEQUENCE: {"added": 1, "modified": 1},
    PHOTO: {"added": 1, "modified": 1},
}

WITH_ANCILLARY_TABLES: list[Step] = [
    Save("patient", 1, PATIENT),
    Save(SEQUENCE, 1, {"patient_id": 1, "sequence_description": "t1"}),
    *photo(1, "one finger, vertically", name="p1"),
    *photo(2, "two fingers, vertically", name="p2"),
    Copy(
        {BLOB: {"added": 2}, "patient": {"added": 1}, SEQUENCE: {"added": 1}, PHOTO: {"added": 2}},
        {BLOB: (2, 0), "patient": (1, 0), SEQUENCE: (1, 0), PHOTO: (2, 0)},
    ),
    *photo(2, "two fingers, horizontally"),
    Copy(ONE_MORE, {BLOB: (2, 0), "patient": (1, 0), SEQUENCE: (1, 0), PHOTO: (2, 0)}),
    *photo(2, "two fingers, vertically"),
    Flag(ALL),
    Copy(
        {
            BLOB: {"added": 1, "modified": 1, "preserved": 4},
            "patient": {"preserved": 1},
            SEQUENCE: {"added": 1, "modified": 1, "preserved": 3},
            PHOTO: {"added": 1, "modified": 1, "preserved": 4},
        },
        {BLOB: (0, 2), "patient": (0, 1), SEQUENCE: (0, 1), PHOTO: (0, 2)},
    ),
    Save("patient", 1, PATIENT),
    Save(SEQUENCE, 1, {"patient_id": 1, "sequence_description": "t2"}),
    *photo(1, "three fingers", name="p1"),
    Copy(
        {table: {"added": 1} for table in ALL},
        {BLOB: (1, 2), "patient": (1, 1), SEQUENCE: (1, 1), PHOTO: (1, 2)},
    ),
    ForceFinalize(
        {table: {"preserved": 1} for table in ALL},
        {BLOB: (0, 3), "patient": (0, 2), SEQUENCE: (0, 2), PHOTO: (0, 3)},
    ),
    Move(
        {table: {"added": 1, "preserved": 1} for table in ALL},
        {BLOB: (0, 4), "patient": (0, 3), SEQUENCE: (0, 3), PHOTO: (0, 4)},
    ),
]

SCRIPTS: dict[str, list[Step]] = {
    "Single record": SINGLE_RECORD,
    "With a patient": WITH_A_PATIENT,
    "With ancillary tables and BLOBs": WITH_ANCILLARY_TABLES,
}
