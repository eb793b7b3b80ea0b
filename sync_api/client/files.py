"""Brings the bytes of files to another installation: asks what is missing there, sends it, smallest first.

May be cut anywhere: the other side says how much of a file it has, and the sending goes on from there, in this run or
in a later one. A file that was damaged on this disk is not sent; it is told.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from sync_api.client.http import AGAIN, Server, backoff, describe, retry_after
from sync_api.conf import limit
from sync_api.exceptions import ContentDamaged, ContentMissing, NotTheServer, ServerRefused, ServerUnreachable
from sync_api.failpoints import failpoint
from sync_api.files.outgoing import note_delivered, note_lost, waiting_contents
from sync_api.files.store import ContentStore

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK_TYPE = "application/offset+octet-stream"
UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
HASH = re.compile(r"[0-9a-f]{64}")
ENDS_ALL = frozenset({401, 507})
"""Refusals that every further file would meet."""


@dataclass(slots=True)
class FilesReport:
    """What one run did with files. `problems` has a sentence for each that could not be sent."""

    files: int = 0
    bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FilesReport.__slots__}


@dataclass(slots=True)
class Budget:
    """How many bytes of files may still be sent in this run; None: any number. They count when they are sent."""

    left: int | None = None

    def allowed(self, size: int) -> int:
        return size if self.left is None else min(size, self.left)

    def spend(self, size: int) -> None:
        if self.left is not None:
            self.left -= size


@dataclass(frozen=True, slots=True)
class Wanted:
    """A content that the other side lacks, and its upload there, if one was begun."""

    sha256: str
    size: int
    upload: str | None
    offset: int


def send_files(
    alias: str,
    server: Server,
    peer: str,
    *,
    to_server: bool,
    budget: Budget | None = None,
    waiting: list[tuple[str, int]] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> FilesReport:
    """Send the bytes that `peer` lacks of what is waiting here, within the budget.

    No request where nothing waits. Opens a short transaction per answer, none while it waits for the network. Raises
    ServerUnreachable, NotTheServer, and ServerRefused for what every file would meet (507: no room there).
    """
    contents = waiting_contents(alias, peer, to_server=to_server) if waiting is None else waiting
    sender = FileSender(alias, server, peer, budget or Budget(), sleep)
    most = int(limit("SYNC_FILES_PER_REQUEST_MAX"))
    for begin in range(0, len(contents), most):
        sender.send_part(contents[begin : begin + most])
    return sender.report


class FileSender:
    """One run of file sending to one installation."""

    def __init__(
        self, alias: str, server: Server, peer: str, budget: Budget, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.alias = alias
        self.server = server
        self.peer = peer
        self.budget = budget
        self.sleep = sleep
        self.store = ContentStore(alias)
        self.report = FilesReport()

    def send_part(self, contents: list[tuple[str, int]]) -> None:
        """Ask about these, smallest first, and send what is missing there."""
        hashes = [sha256 for sha256, _ in contents]
        body = orjson.dumps({"sha256": hashes})
        try:
            answer = self.server.post("files/missing", body, "application/json").body
        except ServerRefused as error:
            if error.code != "not_found":
                raise
            for _, size in contents:  # a server of an earlier version: it takes records alone
                self.leave(size)
            return
        missing, undeclared = self.checked(answer, dict(contents))
        lacking = {one.sha256 for one in missing}
        note_delivered(self.alias, self.peer, [one for one in hashes if one not in lacking | undeclared])
        note_lost(self.alias, self.peer, sorted(lacking))
        for one in missing:
            try:
                self.send(one)
            except (ContentDamaged, ContentMissing) as error:
                self.report.problems.append(str(error))
            except ServerRefused as error:
                if error.status in ENDS_ALL:
                    raise
                self.report.problems.append(f"Content {one.sha256[:12]}: {error}")

    def checked(self, answer: dict[str, Any], sizes: dict[str, int]) -> tuple[list[Wanted], set[str]]:
        """What the answer says, if it speaks of what was asked. NotTheServer."""
        missing, undeclared = answer.get("missing"), answer.get("undeclared")
        if not isinstance(missing, list) or not isinstance(undeclared, list):
            raise NotTheServer(url=self.server.url, status=200)
        wanted = []
        for one in missing:
            if not isinstance(one, dict) or one.get("sha256") not in sizes or type(one.get("offset")) is not int:
                raise NotTheServer(url=self.server.url, status=200)
            upload = one.get("upload")
            size = sizes[one["sha256"]]
            wanted.append(Wanted(one["sha256"], size, upload_id(upload) if upload else None, one["offset"]))
        return sorted(wanted, key=lambda one: (one.size, one.sha256)), {one for one in undeclared if one in sizes}

    def send(self, one: Wanted) -> None:
        """Send one file as far as the budget goes; what the other side has of it already is not sent again."""
        if not self.budget.allowed(max(one.size - one.offset, 1)):
            self.leave(one.size - one.offset)
            return
        self.store.verify(one.sha256)
        upload, offset = one.upload, one.offset
        if upload is None:
            upload, offset = self.begin(one), 0
        road = Road(self.sleep, self.server.url)
        while True:
            length = self.budget.allowed(one.size - offset)
            if not length and offset < one.size:
                self.leave(one.size - offset)
                return
            moved_to, response = self.patch(one, upload, offset, length, road)
            if response is not None and response.status_code in (404, 410):
                raise refusal(response)
            if moved_to is None:
                moved_to = self.ask(upload, road)
            if moved_to > offset:
                road.failures = 0
            elif offset < one.size:
                road.fail("nothing more of the file arrived")
            offset = moved_to
            if offset == one.size and (response is None or response.status_code == 204):
                break
        self.report.files += 1
        note_delivered(self.alias, self.peer, [one.sha256])

    def leave(self, size: int) -> None:
        self.report.waiting += 1
        self.report.waiting_bytes += size

    def begin(self, one: Wanted) -> str:
        metadata = "sha256 " + base64.b64encode(one.sha256.encode()).decode()
        headers = {**TUS, "Upload-Length": str(one.size), "Upload-Metadata": metadata}
        road = Road(self.sleep, self.server.url)
        while True:
            response = self.once("POST", "files/uploads", headers, road)
            if response is not None and response.status_code == 201:
                return upload_id(response.headers.get("location", ""))
            if response is not None:
                raise refusal(response)

    def patch(
        self, one: Wanted, upload: str, offset: int, length: int, road: Road
    ) -> tuple[int | None, httpx.Response | None]:
        """Send a part of the file. The new offset, None where it has to be asked for."""
        headers = {**TUS, "Content-Type": CHUNK_TYPE, "Upload-Offset": str(offset), "Content-Length": str(length)}
        response = self.once(
            "PATCH", f"files/uploads/{upload}", headers, road, self.bytes_of(one.sha256, offset, length)
        )
        failpoint("push.after_answer")
        if response is None:
            return None, None
        if response.status_code == 204:
            return told_offset(response, self.server.url), response
        if response.status_code in (404, 409, 410, 423):
            return None, response if response.status_code != 423 else None
        raise refusal(response)

    def ask(self, upload: str, road: Road) -> int:
        """How much of the file is there."""
        while True:
            response = self.once("HEAD", f"files/uploads/{upload}", TUS, road)
            if response is not None and response.status_code == 200:
                return told_offset(response, self.server.url)
            if response is not None:
                raise refusal(response)

    def bytes_of(self, sha256: str, offset: int, length: int) -> Iterator[bytes]:
        at_once = int(limit("SYNC_FILE_CHUNK_BYTES"))
        with self.store.open(sha256) as file:
            file.seek(offset)
            while length and (chunk := file.read(min(at_once, length))):
                length -= len(chunk)
                self.budget.spend(len(chunk))
                self.report.bytes += len(chunk)
                yield chunk

    def once(
        self, method: str, path: str, headers: dict[str, str], road: Road, content: Iterator[bytes] | None = None
    ) -> httpx.Response | None:
        """One request; None when there was no answer, or one that says to try again. ServerUnreachable after too many
        of them without a byte's progress."""
        try:
            response = self.server.raw(method, path, headers=headers, content=content)
        except httpx.TransportError as error:
            road.fail(describe(error))
            return None
        if response.status_code in AGAIN:
            road.fail(f"status {response.status_code}", retry_after(response))
            return None
        return response


@dataclass(slots=True)
class Road:
    """Counts failures in a row without progress, and waits between them."""

    sleep: Callable[[float], None]
    url: str
    failures: int = 0

    def fail(self, what: str, wait: float = 0.0) -> None:
        self.failures += 1
        attempts = int(limit("SYNC_ATTEMPTS_MAX"))
        if self.failures >= attempts:
            raise ServerUnreachable(url=self.url, what=what, attempts=attempts)
        self.sleep(wait or backoff(self.failures))


def upload_id(address: str) -> str:
    """The upload's id, which ends its address; of the address itself nothing else is used."""
    found = str(address).rstrip("/").rsplit("/", 1)[-1]
    if UPLOAD_ID.fullmatch(found) is None:
        raise NotTheServer(url=str(address)[:200], status=200)
    return found


def told_offset(response: httpx.Response, url: str) -> int:
    text = response.headers.get("upload-offset", "")
    if not text.isascii() or not text.isdigit():
        raise NotTheServer(url=url, status=response.status_code)
    return int(text)


def refusal(response: httpx.Response) -> ServerRefused:
    """The problem in an answer; an answer to HEAD has none."""
    try:
        told = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        told = {}
    code = told.get("code") if isinstance(told, dict) else None
    detail = str(told.get("detail", "")) if isinstance(told, dict) else ""
    known = {404: "file_upload_unknown", 410: "file_upload_gone", 423: "file_upload_locked"}
    return ServerRefused(
        status=response.status_code,
        code=code if isinstance(code, str) else known.get(response.status_code, "not_the_server"),
        detail=detail or f"The answer has status {response.status_code}.",
    )
