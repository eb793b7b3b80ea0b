"""What a push answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sync_api.client.files import FilesReport
from sync_api.exceptions import SyncError


@dataclass(slots=True)
class PushReport:
    """What one push did at one target. `applied_number` and `parked` are the server's word, known when nothing was to
    be sent. `targets` has the facts of every target of a push to all, on the home server's report. `files` is of the
    bytes of files, which go after the records."""

    device: str
    server: str
    batches: int = 0
    transactions: int = 0
    bytes: int = 0
    requests: int = 0
    closed_epochs: list[str] = field(default_factory=list)
    applied_number: int | None = None
    parked: int | None = None
    targets: list[dict[str, Any]] = field(default_factory=list)
    files: FilesReport = field(default_factory=FilesReport)


@dataclass(slots=True)
class TargetResult:
    """One target's part: `state` is sent, failed, or skipped (its circuit is open until `open_until`)."""

    name: str
    kind: str
    url: str
    state: str
    report: PushReport
    error: SyncError | None = None
    open_until: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        report = self.report
        return {
            "name": self.name,
            "kind": self.kind,
            "url": self.url,
            "state": self.state,
            "batches": report.batches,
            "transactions": report.transactions,
            "bytes": report.bytes,
            "requests": report.requests,
            "files": report.files.facts,
            "code": self.error.code if self.error else None,
            "text": str(self.error) if self.error else None,
            "open_until": self.open_until,
        }


@dataclass(slots=True)
class PushRun:
    """Every target's part, the home server first. `error`: something here could not be sealed, the rest was sent."""

    results: list[TargetResult] = field(default_factory=list)
    error: SyncError | None = None

    @property
    def home(self) -> TargetResult | None:
        return next((result for result in self.results if result.kind == "home"), None)

    @property
    def problems(self) -> list[str]:
        """A sentence for each target that did not get everything, and for what could not be sealed."""
        told = [problem(result) for result in self.results if result.state != "sent"]
        told += [f"{one.name}: {text}" for one in self.results for text in one.report.files.problems]
        return [*told, str(self.error)] if self.error else told


def problem(result: TargetResult) -> str:
    if result.state == "skipped":
        return (
            f"{result.name} failed several times and is not tried before {result.open_until}. "
            f"`push_transactions --target {result.name}` tries it now."
        )
    return f"{result.name}: {result.error}"


def report_facts(report: PushReport) -> dict[str, Any]:
    """For `--json`."""
    return {**{name: getattr(report, name) for name in PushReport.__slots__}, "files": report.files.facts}
