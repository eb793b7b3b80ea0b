"""Unattended import: files appear in `incoming` and end in `done` or `failed`. One bad file never stops the others."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.db import Error as DatabaseError
from django.utils import timezone

from sync_api.bundles.importing import ImportReport, import_bundle, incomplete
from sync_api.bundles.writing import sync_folder
from sync_api.conf import limit
from sync_api.exceptions import BundleUnreadable, SyncError

INCOMING, DONE, FAILED = "incoming", "done", "failed"
log = logging.getLogger(__name__)


@dataclass(slots=True)
class FolderReport:
    """What one pass over a folder did: by name, the reports and the reasons. `waiting` files stay in `incoming`."""

    done: list[ImportReport] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


def import_folder(alias: str, folder: str | Path, *, settle_seconds: float | None = None) -> FolderReport:
    """Import every file in `folder`/incoming once; done files go to `done`, refused ones to `failed` with the reason
    beside them as .txt.

    A file that still grows is left for the next pass, as is one whose batches wait for another file. Its transactions
    are those of `import_bundle`. BundleUnreadable when the folder cannot be used.
    """
    root = Path(folder)
    make_folders(root)
    report = FolderReport()
    settle = float(limit("SYNC_BUNDLE_SETTLE_SECONDS")) if settle_seconds is None else settle_seconds
    files = settled(root / INCOMING, settle)
    while files:
        again = [path for path in files if not take_file(alias, root, path, report)]
        if len(again) == len(files):
            break
        files = again
    return report


def take_file(alias: str, root: Path, path: Path, report: FolderReport) -> bool:
    """Import one file and move it; False when it waits for another file."""
    report.waiting.pop(path.name, None)
    try:
        found = import_bundle(alias, path)
    except DatabaseError as error:
        log.error("bundle_import_stopped", extra={"file": path.name, "error": type(error).__name__})
        report.waiting[path.name] = "The database did not take it; it is tried again."
        return True
    except SyncError as error:
        return fail(root, path, str(error), report)
    except Exception as error:  # whatever a file does, the next one has its turn
        log.exception("bundle_import_failed", extra={"file": path.name})
        return fail(root, path, f"The file could not be imported ({type(error).__name__}). Show the log.", report)
    if found.waits:
        report.waiting[path.name] = str(incomplete(found))
        return False
    if found.refused:
        return fail(root, path, str(incomplete(found)), report)
    if move(path, root / DONE):
        report.done.append(found)
    return True


def fail(root: Path, path: Path, reason: str, report: FolderReport) -> bool:
    report.failed[path.name] = reason
    moved = move(path, root / FAILED)
    if moved is not None:
        when = timezone.now().isoformat(timespec="seconds")
        text = f"{when}\n{path.name}\n{reason}\n"
        moved.with_name(f"{moved.name}.txt").write_text(text, encoding="utf-8", errors="replace")
    return True


def make_folders(root: Path) -> None:
    try:
        for name in (INCOMING, DONE, FAILED):
            (root / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleUnreadable(name=str(root), what=error.strerror or str(error)) from error


def settled(incoming: Path, seconds: float) -> list[Path]:
    """The files that nobody is still writing, by name: pieces of one bundle are then in their order.

    Hidden and .part files are other programs' unfinished ones. A file counts when neither its size nor its time
    changed lately; with fresh files in the folder, this waits once.
    """
    before = dict(files_in(incoming))
    if any(time.time() - modified < seconds for _, modified in before.values()):
        time.sleep(seconds)
    return [path for path, facts in sorted(files_in(incoming)) if before.get(path) == facts]


def files_in(incoming: Path) -> Iterator[tuple[Path, tuple[int, float]]]:
    for found in os.scandir(incoming):
        if found.name.startswith(".") or found.name.endswith(".part") or found.is_dir(follow_symlinks=False):
            continue
        facts = found.stat(follow_symlinks=False)
        yield Path(found.path), (facts.st_size, facts.st_mtime)


def move(path: Path, folder: Path) -> Path | None:
    """Move a file under its own name, or that with a number; None when it has gone meanwhile."""
    for place in range(1, 10_000):
        target = folder / (path.name if place == 1 else f"{path.stem}-{place}{path.suffix}")
        if os.path.lexists(target):
            continue
        try:
            os.rename(path, target)
        except FileNotFoundError:
            return None
        sync_folder(folder)
        return target
    return None


def watch_folder(
    alias: str, folder: str | Path, tell: Callable[[FolderReport], None], *, again: Callable[[], bool] = lambda: True
) -> None:
    """Import whatever appears, until `again` says no or the process is interrupted."""
    while True:
        report = import_folder(alias, folder)
        if report.done or report.failed:
            tell(report)
        if not again():
            return
        time.sleep(float(limit("SYNC_BUNDLE_WATCH_SECONDS")))
