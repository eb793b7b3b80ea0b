"""The rules of uploads in plain Python, slow and obvious: what a server must hold after each request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Content = tuple[str, str | None]
"""A record's text, and when it was modified."""
NOW = "NOW"


@dataclass(eq=False)
class Version:
    """One version of one record."""

    table: str
    key: int
    content: Content
    before: Version | None
    era: Any = NOW
    is_current: bool = True
    is_followed: bool = False

    def chain(self) -> tuple[Content, ...]:
        return (*(self.before.chain() if self.before else ()), self.content)


@dataclass
class Said:
    """What an upload says of one table: rows, the other keys that are there (None: not said), keys to move off."""

    rows: dict[int, Content]
    others: set[int] | None = field(default_factory=set)
    moved: set[int] = field(default_factory=set)


class Server:
    """One device's records."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.eras = 0

    def now(self, table: str) -> dict[int, Version]:
        """The current records of the present era."""
        return {one.key: one for one in self.versions if one.table == table and one.era == NOW and one.is_current}

    def upload(self, said: dict[str, Said], *, preserving: bool) -> dict[str, dict[str, int]]:
        """Commit; what is counted, by table."""
        counts: dict[str, Counter[str]] = {table: Counter() for table in said}
        for table, one in said.items():
            self.compare(table, one, counts[table])
        self.preserve(said, preserving, counts)
        return {table: dict(told) for table, told in counts.items() if told}

    def compare(self, table: str, said: Said, counts: Counter[str]) -> None:
        there = self.now(table)
        for key, content in said.rows.items():
            before = there.get(key)
            if before is not None and before.content == content:
                counts["identical"] += 1
                continue
            if before is not None:
                before.is_current, before.is_followed = False, True
                counts["modified"] += 1
            self.versions.append(Version(table, key, content, before))
            counts["added"] += 1
        for key, version in there.items():
            if said.others is not None and key not in said.rows and key not in said.others:
                version.is_current = False
                counts["deleted"] += 1

    def preserve(self, said: dict[str, Said], everything: bool, counts: dict[str, Counter[str]]) -> None:
        leaving = [
            one
            for one in self.versions
            if one.era == NOW and (everything or (one.table in said and one.key in said[one.table].moved))
        ]
        if leaving:
            self.eras += 1
        for one in leaving:
            one.era = self.eras
            counts.setdefault(one.table, Counter())["preserved"] += 1

    def force_finalize(self) -> dict[str, dict[str, int]]:
        counts: dict[str, Counter[str]] = {}
        self.preserve({}, True, counts)
        return {table: dict(told) for table, told in counts.items()}

    def wanted(self, table: str, rows: dict[int, Content]) -> set[int]:
        """Of these records, those to send: not there, modified at another time, or at no known one."""
        there = self.now(table)
        return {
            key for key, (_, when) in rows.items() if when is None or key not in there or there[key].content[1] != when
        }

    def held(self) -> Counter[Any]:
        """Every version with its place: record, era, whether it is current or followed, and what came before it."""
        return Counter(
            (one.table, one.key, one.era, one.is_current, one.is_followed, one.chain()) for one in self.versions
        )

    def shown(self) -> Counter[Any]:
        """What a reader sees: the current records of all eras."""
        return Counter((one.table, one.key, one.content) for one in self.versions if one.is_current)
