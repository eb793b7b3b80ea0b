"""A road that counts what it carries to the server and breaks every so many bytes, with small buffers of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.faulty_road import close

CHUNK = 16 * 1024
BUFFER = 64 * 1024
ARRIVING_SECONDS = 0.2
"""A road that breaks takes nothing back that has arrived: the server reads it from its system's buffers."""


@dataclass
class CuttingRoad:
    """`carried` are the bytes that reached the server's machine; at each of `cuts` (in bytes) a connection breaks, and
    at each of `events` the function is called, while this road stands still."""

    port: int
    cuts: list[int]
    events: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    carried: int = 0
    broken: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def carry(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.socket() as server:
            if self.reach(server):
                threading.Thread(target=self.back, args=(server, client), daemon=True).start()
                while chunk := client.recv(CHUNK):
                    server.sendall(chunk)
                    if self.count(len(chunk)):
                        time.sleep(ARRIVING_SECONDS)
                        close(client, server)
                        return
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                time.sleep(0.01)

    def reach(self, server: socket.socket) -> bool:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        return server.connect_ex(("127.0.0.1", self.port)) == 0

    def count(self, size: int) -> bool:
        """Whether the road breaks here."""
        with self.lock:
            self.carried += size
            while self.events and self.carried >= self.events[0][0]:
                time.sleep(ARRIVING_SECONDS)
                self.events.pop(0)[1]()
            if self.cuts and self.carried >= self.cuts[0]:
                self.cuts.pop(0)
                self.broken += 1
                return True
        return False

    def back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(CHUNK):
                client.sendall(chunk)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)


@contextmanager
def cutting_road(
    port: int, cuts: list[int], events: list[tuple[int, Callable[[], None]]] | None = None
) -> Iterator[CuttingRoad]:
    road = CuttingRoad(port, cuts, events or [])
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        road.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=listen, args=(listener, road), daemon=True).start()
        yield road


def listen(listener: socket.socket, road: CuttingRoad) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=road.carry, args=(client,), daemon=True).start()
