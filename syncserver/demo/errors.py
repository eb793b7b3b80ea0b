"""Why a demo can fail: each names what was expected and what was found."""

from __future__ import annotations


class DemoError(Exception):
    """Base of the demo's errors."""


class StepFailed(DemoError):
    """A command of one of the installations ended otherwise than it should."""

    def __init__(self, *, where: str, command: str, status: int, output: str) -> None:
        super().__init__(
            f"On {where}, `manage.py {command}` ended with {status}:\n{output.strip()}\n"
            "Run the demo again with --keep FOLDER and look into that folder."
        )


class NotAsExpected(DemoError):
    """A fact of the story is not what it must be."""

    def __init__(self, *, fact: str, expected: object, found: object) -> None:
        super().__init__(f"{fact}: expected {expected}, found {found}. Please report this.")


class FolderTaken(DemoError):
    """`--keep` names a folder that has something in it."""

    def __init__(self, *, folder: object) -> None:
        super().__init__(f"{folder} is not empty. Name a new folder.")


def expect(fact: str, *, expected: object, found: object) -> None:
    """NotAsExpected unless the two are equal."""
    if found != expected:
        raise NotAsExpected(fact=fact, expected=expected, found=found)
