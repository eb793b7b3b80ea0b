"""From the steps of an upload to what it says of each table. A later step counts against an earlier one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audit.engine import Key, TableState
from sync_api.exceptions import UploadIncomplete
from sync_api.uploads.rows import Rows
from sync_api.uploads.tables import TableForm


class Draft:
    """One table in an upload, step after step."""

    def __init__(self, form: TableForm) -> None:
        self.form = form
        self.parts: list[Rows] = []
        self.listed: set[Key] | None = None
        """What the client has there beside the rows; None: it does not say."""
        self.moved: set[Key] = set()
        self.asked: set[Key] = set()
        """What the client has to send before the upload can end."""
        self.dropped: set[tuple[int, Key]] = set()
        """Rows that are not listed any more: the part's number, and the key."""

    def whole(self, rows: Rows) -> None:
        """This is all that the table holds."""
        self.parts, self.listed = [rows], set()
        self.moved, self.asked, self.dropped = set(rows.moved), set(), set()

    def record(self, rows: Rows) -> None:
        """One more record, or a newer content of one."""
        self.parts.append(rows)
        self.moved -= set(rows.keys)
        self.moved |= set(rows.moved)

    def keys(self, keys: Iterable[Key], *, moved: Iterable[Key] = (), asked: Iterable[Key] = ()) -> None:
        """The table holds records of these keys, and no others."""
        self.listed = set(keys)
        for number, part in enumerate(self.parts):
            self.dropped |= {(number, key) for key in part.keys if key not in self.listed}
        self.moved = {key for key in self.moved if key in self.listed} | set(moved)
        self.asked = set(asked)

    def staged(self) -> dict[Key, tuple[int, int]]:
        """By key: the part and the place of the row that counts."""
        return {
            key: (number, place)
            for number, part in enumerate(self.parts)
            for place, key in enumerate(part.keys)
            if (number, key) not in self.dropped
        }

    def rows(self) -> Rows:
        """The rows that count. UploadIncomplete when records that were asked for are not among them."""
        if len(self.parts) == 1 and not self.dropped and not self.asked:
            return self.parts[0]
        chosen = self.staged()
        missing = self.asked - chosen.keys()
        if missing:
            raise UploadIncomplete(table=self.form.name, count=len(missing))
        return merged(self.form, self.parts, chosen)

    def state(self, rows: Rows) -> TableState:
        modified = self.form.modified
        offsets = rows.offsets.get(modified) if modified is not None else None
        return TableState(rows.keys, rows.values, rows.modified, offsets, self.listed)


def merged(form: TableForm, parts: list[Rows], chosen: dict[Key, tuple[int, int]]) -> Rows:
    places = chosen.values()

    def column(values_of: Any) -> list[Any]:
        columns = [values_of(part) for part in parts]
        return [None if columns[number] is None else columns[number][place] for number, place in places]

    return Rows(
        keys=list(chosen),
        values=[parts[number].values[place] for number, place in places],
        modified=None if form.modified is None else column(lambda part: part.modified),
        offsets={moment: column(lambda part, moment=moment: part.offsets.get(moment)) for moment in form.moments},
        moved=[],
    )
