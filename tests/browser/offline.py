"""A browser that can reach nothing but this machine, and remembers what it was asked to fetch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connections
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = (1000, 900)
NARROW = (360, 740)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class Visit:
    """One browser. `elsewhere` are the addresses beyond this machine that a page asked for; `problems` all errors."""

    page: Page
    context: BrowserContext
    elsewhere: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def guard(self, route: Route) -> None:
        if urlsplit(route.request.url).hostname in LOOPBACK:
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()

    def width_of_content(self) -> int:
        self.page.wait_for_load_state("load")  # style sheets decide the width
        return int(self.page.evaluate("document.documentElement.scrollWidth"))

    def focused(self) -> str:
        """What has the keyboard's focus: its id, else its text."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))

    def tab_until(self, wanted: str, presses_max: int = 30) -> int:
        for press in range(1, presses_max + 1):
            self.page.keyboard.press("Tab")
            if self.focused() == wanted:
                return press
        raise AssertionError(f"{wanted} is not reached by {presses_max} presses of Tab")

    def picture(self, name: str, *, full_page: bool = True) -> None:
        """Keep a picture of the page when SCREENSHOTS names a folder."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=full_page)


@contextmanager
def offline_browser(size: tuple[int, int] = WIDE, *, scripts: bool = True) -> Iterator[Visit]:
    """Ends with an AssertionError when a page asked for anything elsewhere, or a script failed."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=scripts, reduced_motion="reduce"
        )
        visit = Visit(context.new_page(), context)
        context.route("**/*", visit.guard)
        visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
        visit.page.on(
            "console", lambda said: visit.problems.append(said.text) if "Content Security Policy" in said.text else None
        )
        try:
            yield visit
        finally:
            connections.close_all()  # beside Playwright's loop this thread has database connections of its own
            context.close()
            browser.close()
    assert visit.elsewhere == []
    assert visit.problems == []
