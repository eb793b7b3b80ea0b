"""Receivers: a subclass decides what becomes of an entity that another system sends.

It answers with one of six states: complete, failed, continue, continue-nocache, needs a dependency, needs a file. The
sender reacts and sends the entity again, until it is complete or failed. A receiver keeps nothing in memory between two
requests: they may reach different processes. Source of the states: the seed's importer_api.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from sync_api.files.store import Kept


@dataclass(frozen=True, slots=True)
class Answer:
    """A state, and what belongs to it."""

    state: str
    facts: dict[str, str] = field(default_factory=dict)


COMPLETE = Answer("complete")
CONTINUE = Answer("continue")
RESEND = Answer("continue-nocache")
NEEDS_DEPENDENCY, NEEDS_FILE = "need_dependency", "need_file"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """One entity, as it was sent. `body` came from outside: its shape is the receiver's to check."""

    alias: str
    user: str
    entity_type: str
    entity_id: str
    body: dict[str, Any]

    def response_complete(self) -> Answer:
        """The entity is here; it will not be sent again for this configuration."""
        return COMPLETE

    def response_failed(self, message: str = "Import failed") -> Answer:
        """An error. Whether and when it is tried again is the sender's to decide."""
        return Answer("failed", {"message": message})

    def response_continue(self) -> Answer:
        """Something was taken; ask about the entity again."""
        return CONTINUE

    def response_resend(self) -> Answer:
        """Send the whole entity again."""
        return RESEND

    def response_need_dependency(self, kind: str, dependency_id: str) -> Answer:
        """Send this first: on MeteorPi's wire a `status` becomes need_status."""
        return Answer(NEEDS_DEPENDENCY, {"kind": kind, "id": dependency_id})

    def response_need_file_data(self, file_id: str) -> Answer:
        """Send this file's bytes first."""
        return Answer(NEEDS_FILE, {"id": file_id})


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """A file that a half received entity names."""

    file_id: str
    md5: str
    size: int


class BaseImportReceiver:
    """Takes everything and keeps nothing. Each method may answer None for the usual end."""

    def receive(self, request: ImportRequest) -> Answer:
        """The answer to one entity."""
        method: Callable[[ImportRequest], Answer | None] | None = getattr(self, f"receive_{request.entity_type}", None)
        if method is None:
            return request.response_failed("This kind of entity is not taken here.")
        usual = CONTINUE if request.entity_type == "status" else COMPLETE
        return method(request) or usual

    def receive_event(self, request: ImportRequest) -> Answer | None:
        """An event; None is complete."""
        return None

    def receive_file(self, request: ImportRequest) -> Answer | None:
        """A file's record; None is complete."""
        return None

    def receive_status(self, request: ImportRequest) -> Answer | None:
        """A status that was asked for; None is continue."""
        return None

    def receive_tombstone(self, request: ImportRequest) -> Answer | None:
        """An entity was removed at the source; None is complete."""
        return None

    def receive_record(self, request: ImportRequest) -> Answer | None:
        """A record of any mirrored model; None is complete."""
        return None

    def receive_file_data(self, alias: str, user: str, declared: DeclaredFile, kept: Kept) -> None:
        """A declared file's bytes, verified and stored. Called once per upload, in no transaction."""


REGISTERED: list[BaseImportReceiver] = []


def register_receiver(receiver: BaseImportReceiver) -> None:
    """The receiver of this installation, unless SYNC_IMPORT_RECEIVER names one. For an AppConfig's `ready()`."""
    REGISTERED[:] = [receiver]


def receiver() -> BaseImportReceiver | None:
    """The receiver at work: SYNC_IMPORT_RECEIVER (a class, or a function that makes one), else the registered one."""
    named = getattr(settings, "SYNC_IMPORT_RECEIVER", "")
    if named:
        made: BaseImportReceiver = import_string(named)()
        return made
    return REGISTERED[0] if REGISTERED else None
