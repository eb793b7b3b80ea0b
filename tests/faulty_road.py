"""A bad road to a server: a TCP relay that spoils one connection after another, as villages and hotels do.

Each new connection takes the next fault of the list; when the list is used up, connections pass untouched.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

CHUNK = 1_024
PORTAL = b"<html><body><h1>Welcome to Guesthouse WiFi</h1><form>room number</form></body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one connection.

    cut: both ways end after `after` bytes in the direction `of`. stall: then nothing moves any more, and nobody is
    told. half_close: the road ends the laptop's way after `after` bytes and still carries the answer. slow: `bits` a
    second both ways. portal: the network's own login page answers, with status 200.
    """

    kind: Literal["cut", "stall", "half_close", "slow", "portal"]
    after: int = 0
    of: Literal["request", "answer"] = "request"
    bits: int = 23_000


@dataclass(slots=True)
class FaultyRoad:
    """`url` leads to the server over this road. `met` are the faults that connections have met."""

    target: tuple[str, int]
    faults: list[Fault]
    url: str = ""
    met: list[Fault] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self) -> Fault | None:
        with self.lock:
            if not self.faults:
                return None
            self.met.append(self.faults.pop(0))
            return self.met[-1]

    def carry(self, laptop: socket.socket) -> None:
        fault = self.next_fault()
        with laptop:
            if fault is not None and fault.kind == "portal":
                answer_as_portal(laptop)
                return
            with suppress(OSError), socket.create_connection(self.target) as server:
                both = (laptop, server)
                back = threading.Thread(target=self.pump, args=(server, laptop, "answer", fault, both), daemon=True)
                back.start()
                self.pump(laptop, server, "request", fault, both)
                back.join(timeout=120)

    def pump(
        self,
        source: socket.socket,
        target: socket.socket,
        direction: str,
        fault: Fault | None,
        both: tuple[socket.socket, socket.socket],
    ) -> None:
        own = fault if fault is not None and (fault.kind == "slow" or fault.of == direction) else None
        carried = 0
        with suppress(OSError):
            while chunk := source.recv(CHUNK if own is None or own.kind != "slow" else 256):
                if own is not None and own.kind == "slow":
                    time.sleep(len(chunk) * 8 / own.bits)
                elif own is not None and carried + len(chunk) > own.after:
                    target.sendall(chunk[: own.after - carried])
                    if own.kind == "stall":
                        self.closing.wait()
                    if own.kind == "half_close":
                        break
                    close(*both)
                    return
                carried += len(chunk)
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def close(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def answer_as_portal(laptop: socket.socket) -> None:
    with suppress(OSError):
        laptop.recv(65_536)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PORTAL)}\r\nConnection: close\r\n\r\n"
        )
        laptop.sendall(head.encode() + PORTAL)
        time.sleep(0.1)


@contextmanager
def faulty_road(server_url: str, faults: Sequence[Fault]) -> Iterator[FaultyRoad]:
    """A road to `server_url`, its own address in `.url`, until the block ends."""
    address = urlsplit(server_url)
    road = FaultyRoad((str(address.hostname), int(address.port or 80)), list(faults))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        road.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=listen, args=(listener, road), daemon=True).start()
        try:
            yield road
        finally:
            road.closing.set()


def listen(listener: socket.socket, road: FaultyRoad) -> None:
    with suppress(OSError):
        while True:
            laptop, _ = listener.accept()
            threading.Thread(target=road.carry, args=(laptop,), daemon=True).start()
