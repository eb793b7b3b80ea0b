"""A network cable that somebody pulls: a small TCP relay that drops one connection in the middle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 1_024


@dataclass(slots=True)
class Cable:
    """Passes bytes on. The first connection that has carried `cut_after` bytes to the server is cut, once."""

    target: tuple[str, int]
    cut_after: int
    url: str = ""
    cuts: int = 0
    bytes_before_cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def carry(self, laptop: socket.socket) -> None:
        with laptop, socket.create_connection(self.target) as server:
            answers = threading.Thread(target=pump, args=(server, laptop), daemon=True)
            answers.start()
            sent = 0
            with suppress(OSError):
                while chunk := laptop.recv(CHUNK):
                    sent += len(chunk)
                    if sent > self.cut_after and self.pull(sent):
                        return
                    server.sendall(chunk)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            answers.join(timeout=30)

    def pull(self, sent: int) -> bool:
        """Whether the cable is pulled now: only the first time."""
        with self.lock:
            if self.cuts:
                return False
            self.cuts, self.bytes_before_cut = 1, sent
            return True


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def cable(server_url: str, *, cut_after: int) -> Iterator[Cable]:
    """A cable to `server_url`, its own address in `.url`, until the block ends."""
    address = urlsplit(server_url)
    relay = Cable((str(address.hostname), int(address.port or 80)), cut_after)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=accept, args=(listener, relay), daemon=True).start()
        yield relay


def accept(listener: socket.socket, relay: Cable) -> None:
    with suppress(OSError):
        while True:
            laptop, _ = listener.accept()
            threading.Thread(target=relay.carry, args=(laptop,), daemon=True).start()
