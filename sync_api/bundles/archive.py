"""The archive of a bundle: a ZIP file of stored entries in one only possible form.

Any program that knows ZIP can open it. What is read here must be, byte for byte, what `ArchiveWriter` writes for the
same entries (APPNOTE 6.3.10, sections 4.3 to 4.5: stored, no extra fields, no comments, no ZIP64, one fixed date).
So a compressed entry, a name that was not expected, a second entry of one name, a link, a gap between entries, a
byte before, between or after them are all the same error, and no name from the file is ever used as a path.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from sync_api.exceptions import BundleDamaged

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
VERSION = 10
DATE = 0x21  # 1980-01-01
NAME_BYTES_MAX = 64
SIZE_MAX = 2**32 - 1
ENTRIES_MAX = 2**16 - 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored entry: where its content begins in the file is `offset` + header + name."""

    name: bytes
    size: int
    crc: int
    offset: int

    @property
    def local(self) -> bytes:
        facts = (VERSION, 0, 0, 0, DATE, self.crc, self.size, self.size, len(self.name), 0)
        return LOCAL.pack(b"PK\x03\x04", *facts) + self.name

    @property
    def central(self) -> bytes:
        facts = (VERSION, VERSION, 0, 0, 0, DATE, self.crc, self.size, self.size, len(self.name), 0, 0, 0, 0, 0)
        return CENTRAL.pack(b"PK\x01\x02", *facts, self.offset) + self.name

    @property
    def begins(self) -> int:
        return self.offset + LOCAL.size + len(self.name)

    @property
    def ends(self) -> int:
        return self.begins + self.size


def directory(entries: list[Entry]) -> bytes:
    """The central directory and its end."""
    central = b"".join(entry.central for entry in entries)
    count, begins = len(entries), entries[-1].ends if entries else 0
    return central + END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), begins, 0)


def entry_overhead(name: str) -> int:
    """The bytes an entry takes besides its content."""
    return LOCAL.size + CENTRAL.size + 2 * len(name)


class ArchiveWriter:
    """Writes entries one after another to a binary file; `finish` ends it. `fed` is given every byte in order."""

    def __init__(self, file: BinaryIO, fed: Callable[[bytes], object] = lambda part: None) -> None:
        self.file = file
        self.fed = fed
        self.entries: list[Entry] = []

    def add(self, name: str, content: bytes) -> None:
        offset = self.entries[-1].ends if self.entries else 0
        entry = Entry(name.encode("ascii"), len(content), zlib.crc32(content), offset)
        self.put(entry.local)
        self.put(content)
        self.entries.append(entry)

    def add_parts(self, name: str, size: int, crc: int, parts: Iterable[bytes]) -> None:
        """An entry too large for the memory, whose size and CRC-32 are known before."""
        offset = self.entries[-1].ends if self.entries else 0
        entry = Entry(name.encode("ascii"), size, crc, offset)
        self.put(entry.local)
        for part in parts:
            self.put(part)
        self.entries.append(entry)

    def finish(self) -> None:
        self.put(directory(self.entries))

    def put(self, part: bytes) -> None:
        self.file.write(part)
        self.fed(part)


class ArchiveReader:
    """Reads a file that must be as `ArchiveWriter` writes it; BundleDamaged says where it is not.

    The caller names each next entry and how large it may be; `finish` checks that nothing else is in the file.
    `fed` is given every byte of the file in order, for a hash of the whole.
    """

    def __init__(self, file: BinaryIO, fed: Callable[[bytes], object] = lambda part: None) -> None:
        self.file = file
        self.fed = fed
        self.entries: list[Entry] = []

    def next(self, name: str, *, size_max: int, size: int | None = None) -> bytes:
        """The content of the next entry, which must have this name, and this size where one is given."""
        entry = self.begin(name, size_max=size_max, size=size)
        content = self.exactly(entry.size, name)
        if zlib.crc32(content) != entry.crc:
            raise BundleDamaged(what=f"the content of '{name}' has changed")
        self.entries.append(entry)
        return content

    def next_parts(self, name: str, *, size: int, at_once: int, take: Callable[[bytes], object]) -> None:
        """The next entry, which must have this name and size, given to `take` part by part."""
        entry = self.begin(name, size_max=size, size=size)
        crc, left = 0, size
        while left:
            part = self.exactly(min(left, at_once), name)
            crc, left = zlib.crc32(part, crc), left - len(part)
            take(part)
        if crc != entry.crc:
            raise BundleDamaged(what=f"the content of '{name}' has changed")
        self.entries.append(entry)

    def begin(self, name: str, *, size_max: int, size: int | None) -> Entry:
        """The next entry's header, which must be as it is written."""
        expected = name.encode("ascii")
        head = self.exactly(LOCAL.size + len(expected), name)
        crc, stored = LOCAL.unpack_from(head)[6:8]
        offset = self.entries[-1].ends if self.entries else 0
        entry = Entry(expected, stored, crc, offset)
        if head != entry.local:
            raise BundleDamaged(what=f"where '{name}' should begin there is something else")
        if stored > size_max or (size is not None and stored != size):
            raise BundleDamaged(what=f"'{name}' has {stored} bytes, which is not its size or over the limit")
        return entry

    def finish(self) -> None:
        """Check that the directory follows, and the file's end."""
        expected = directory(self.entries)
        if self.exactly(len(expected), "the directory") != expected or self.file.read(1):
            raise BundleDamaged(what="its directory does not list what it holds, or something follows it")

    def exactly(self, size: int, what: str) -> bytes:
        content = self.file.read(size)
        if len(content) != size:
            raise BundleDamaged(what=f"it ends within {what}")
        self.fed(content)
        return content
