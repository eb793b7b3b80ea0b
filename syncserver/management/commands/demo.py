"""Shows the whole way of the data, from two laptops' saves to every past state on a server."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from syncserver.demo.closing import open_admin, prepare_admin
from syncserver.demo.errors import DemoError, FolderTaken
from syncserver.demo.story import Story


class Command(BaseCommand):
    help = "A field day in a minute: a server and two laptops as separate processes on this machine."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keep", metavar="FOLDER", help="Keep the three installations in this new folder.")

    def handle(self, *, keep: str | None, **_: Any) -> None:
        console = Console(file=sys.stdout, highlight=False, soft_wrap=False)
        try:
            if keep is None:
                with tempfile.TemporaryDirectory(prefix="syncserver-demo-") as folder:
                    Story(Path(folder), console).tell()
                open_admin(console, None)
                return
            folder_kept = Path(keep).expanduser().resolve()
            if folder_kept.exists() and any(folder_kept.iterdir()):
                raise FolderTaken(folder=folder_kept)
            Story(folder_kept, console).tell()
            prepare_admin(folder_kept)
            open_admin(console, folder_kept)
        except DemoError as error:
            raise CommandError(str(error)) from error
