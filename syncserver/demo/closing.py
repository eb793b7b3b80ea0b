"""How to go on after the story: the server's admin."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from rich.console import Console

from syncserver.demo.installation import MANAGE, Installation
from syncserver.demo.story import PASSWORD, SERVER


def prepare_admin(folder: Path) -> None:
    """An account for the kept server's admin."""
    server = Installation(SERVER, "server", folder / SERVER)
    server.manage(
        "createsuperuser",
        "--noinput",
        "--username",
        "demo",
        "--email",
        "demo@example.org",
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )


def open_admin(console: Console, folder: Path | None) -> None:
    """Print how to open the admin: of the kept folder, or how to keep one."""
    console.rule()
    python, manage = shlex.quote(sys.executable), shlex.quote(str(MANAGE))
    if folder is None:
        console.print("The three installations are gone again. To keep them and look around in the admin:\n")
        print(f"  {python} {manage} demo --keep ./field-day")
        return
    console.print("To look at all of it in the server's admin:\n")
    print(f"  cd {shlex.quote(str(folder / SERVER))} && {python} {manage} runserver 8765")
    console.print(
        f"\nthen open http://127.0.0.1:8765/admin/ and log in as [bold]demo[/], password [bold]{PASSWORD}[/]."
    )
