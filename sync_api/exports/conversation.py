"""What an exporter says to a target about one entity, step by step, until the target has it. Knows no HTTP.

Source of the wire: the seed's importer_api, `spec/meteorpi.md` section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, Protocol

from sync_api.conf import limit
from sync_api.exceptions import LocalContentMissing
from sync_api.models import ExportTask

Beat = Callable[[], None]
CACHE_MISSES_MAX = 3
IDLE_MAX = 1
"""Answers `continue` in a row with nothing sent between them."""


class ExportState(StrEnum):
    """How the turn of one entity ended."""

    COMPLETE = "complete"
    CONTINUE = "continue"
    FAILED = "failed"
    CONFUSED = "confused"


class Fault(StrEnum):
    """Whose failure it was: the target's as a whole, this entity's, or our own."""

    TARGET = "target"
    ENTITY = "entity"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; `reason` holds no values of records."""

    state: ExportState
    fault: Fault | None = None
    reason: str = ""
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A target's answer. `body` is None when it was not a JSON object; `problem` when there was no answer."""

    status: int
    body: dict[str, Any] | None
    retry_after: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, verified against `md5` and `size` when opened."""

    file_id: str
    md5: str
    size: int
    name: str
    media_type: str
    open: Callable[[], IO[bytes]]


class Line(Protocol):
    """The way to one target, with its address and credentials."""

    def post(self, body: dict[str, Any]) -> Reply: ...

    def post_file(self, path: str, content: Content, source: IO[bytes], beat: Beat) -> Reply: ...


class WireSource(Protocol):
    """What a kind of entity must give to be sent by MeteorPi's protocol. All ids are 32 hex digits."""

    def bodies(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]: ...

    def dependency(self, alias: str, kind: str, dependency_id: str) -> dict[str, Any] | None: ...

    def content(self, alias: str, file_id: str) -> Content: ...


COMPLETE = Outcome(ExportState.COMPLETE)


def failure(reply: Reply) -> Outcome:
    """What an answer other than 200 to 299 means. 4xx about a body is about the entity; the rest is the target's."""
    if reply.problem:
        return Outcome(ExportState.FAILED, Fault.TARGET, reply.problem, reply.retry_after)
    about_entity = reply.status in (400, 409, 413, 422, 500)
    fault = Fault.ENTITY if about_entity else Fault.TARGET
    return Outcome(ExportState.FAILED, fault, f"status {reply.status}", reply.retry_after)


def is_success(reply: Reply) -> bool:
    return not reply.problem and 200 <= reply.status < 300


def failed(reason: str, fault: Fault = Fault.ENTITY) -> Outcome:
    return Outcome(ExportState.FAILED, fault, reason)


class Handshake:
    """One entity's way by MeteorPi's protocol. A target that asks for the same thing again is not followed."""

    def __init__(self, alias: str, wire: WireSource, line: Line, body: dict[str, Any], entity: str, beat: Beat) -> None:
        self.alias, self.wire, self.line, self.beat = alias, wire, line, beat
        self.body, self.entity = body, entity
        self.sent: set[tuple[str, str]] = set()
        self.misses = 0
        self.idle = 0

    def run(self) -> Outcome:
        """Opens no transaction. `continue` when the target still asks after SYNC_EXPORT_STEPS_MAX requests."""
        outcome: Outcome | None = None
        to_send: dict[str, Any] = self.body
        for _ in range(int(limit("SYNC_EXPORT_STEPS_MAX"))):
            self.beat()
            reply = self.line.post(to_send)
            if not is_success(reply):
                return failure(reply)
            outcome = self.react(reply.body or {})
            if outcome is not None:
                return outcome
            to_send = self.next_body
        return Outcome(ExportState.CONTINUE, Fault.ENTITY, "the target asked for more than one turn allows")

    def react(self, answer: dict[str, Any]) -> Outcome | None:
        """The end, or None with `next_body` set."""
        state = answer.get("state")
        self.next_body: dict[str, Any] = {"type": "cached_entity", "cached_entity_id": self.entity}
        if state == "complete":
            return COMPLETE
        if state == "continue":
            self.idle += 1
            return self.again("continue", "") if self.idle > IDLE_MAX else None
        if state == "continue-nocache":
            self.misses += 1
            self.next_body = self.body
            return failed("the target keeps forgetting the entity") if self.misses > CACHE_MISSES_MAX else None
        if state == "need_status":
            return self.send_dependency("status", answer.get("status_id"))
        if state == "need_dependency":
            return self.send_dependency(str(answer.get("type")), answer.get("id"))
        if state == "need_file_data":
            return self.send_file(answer.get("file_id"))
        if state == "failed":
            return failed("the target said: failed")
        return Outcome(ExportState.CONFUSED, Fault.ENTITY, "the target's answer is not one of the protocol's")

    def again(self, kind: str, what: str) -> Outcome:
        return failed(f"the target asks again and again: {kind} {what}".rstrip())

    def send_dependency(self, kind: str, dependency_id: object) -> Outcome | None:
        wanted = canonical(dependency_id)
        if (kind, wanted) in self.sent:
            return self.again(kind, wanted)
        body = self.wire.dependency(self.alias, kind, wanted) if wanted else None
        if body is None:
            return failed(f"the target asked for a {kind} that is not here")
        self.sent.add((kind, wanted))
        self.idle = 0
        self.beat()
        reply = self.line.post(body)
        if not is_success(reply):
            return failure(reply)
        state = (reply.body or {}).get("state")
        return None if state in ("continue", "continue-nocache", "complete") else failed(f"the {kind} was not taken")

    def send_file(self, file_id: object) -> Outcome | None:
        wanted = canonical(file_id)
        if ("file", wanted) in self.sent:
            return self.again("file", wanted)
        if not wanted or wanted not in declared_files(self.body):
            return failed("the target asked for a file that is not the entity's")
        self.sent.add(("file", wanted))
        self.idle = 0
        self.beat()
        try:
            content = self.wire.content(self.alias, wanted)
            source = content.open()
        except LocalContentMissing as error:
            return failed(str(error), Fault.LOCAL)
        with source:
            reply = self.line.post_file(f"/data/{content.file_id}/{content.md5}", content, source, self.beat)
        return None if is_success(reply) else failure(reply)


def declared_files(body: dict[str, Any]) -> set[str]:
    if body.get("type") == "file":
        return {body["file"]["file_id"]}
    return {file["file_id"] for file in body.get("event", {}).get("files", [])}


def canonical(value: object) -> str:
    """An id as 32 hex digits, else ''."""
    text = value.replace("-", "").lower() if isinstance(value, str) else ""
    return text if len(text) == 32 and not set(text) - set("0123456789abcdef") else ""


def send_records(line: Line, configuration: str, records: list[dict[str, Any]]) -> Outcome:
    """All records in one request. Complete is 204, or a JSON answer whose state is complete."""
    reply = line.post({"type": "records", "configuration": configuration, "records": records})
    if not is_success(reply):
        return failure(reply)
    if reply.status == 204:
        return COMPLETE
    state = (reply.body or {}).get("state")
    if state == "complete":
        return COMPLETE
    if state == "failed":
        return failed("the target said: failed")
    return Outcome(ExportState.CONFUSED, Fault.ENTITY, "the target's answer is not one of the protocol's")
