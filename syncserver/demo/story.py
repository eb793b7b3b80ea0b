"""The field day, told step by step; each step checks the facts it tells."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from syncserver.demo import tables
from syncserver.demo.cable import cable
from syncserver.demo.errors import expect
from syncserver.demo.installation import Installation, serving

SERVER, ANN, BEN = "community-server", "ann-laptop", "ben-laptop"
PASSWORD = "demo"  # noqa: S105 - of an account on loopback, in a folder of the user's own
ANN_BATCH_LINES = 12
CUT_AFTER_BYTES = 3_000
KILLED = -9
POWER_CUT = "push.after_answer:2"
WEIGHT_TYPED, WEIGHT_RIGHT = "16.50", "61.50"


@dataclass(slots=True)
class Story:
    """A server and two laptops in `folder`, and where the story is told."""

    folder: Path
    console: Console
    begun: float = field(default_factory=time.monotonic)
    chapters: int = 0

    def tell(self) -> None:
        """From bare folders to every past state. DemoError as soon as a fact is not as it should be."""
        self.introduce()
        server, ann, ben = self.set_up()
        try:
            with serving(server) as url, cable(url, cut_after=CUT_AFTER_BYTES) as shaky:
                self.enrol(server, [(ann, url), (ben, shaky.url)])
                moments = self.work_offline(ann, ben)
                self.push_with_power_cut(server, ann)
                self.push_with_pulled_cable(server, ben, shaky)
            self.consume(server, ann, ben)
            self.look_back(server, moments)
        finally:
            for installation in (server, ann, ben):
                installation.close()
        self.console.print(f"\nAll of it took {time.monotonic() - self.begun:.0f} seconds.", style="dim")

    def introduce(self) -> None:
        self.console.rule("[bold]syncserver: a field day in a minute")
        self.console.print(
            "Two field workers visit households with laptops that have no network. What they save is "
            "recorded by the laptop's own database, carried to a server in signed batches, and kept there "
            "with its whole past. Everything below really happens: three separate programs, three SQLite "
            "files, HTTP between them."
        )

    def chapter(self, text: str) -> None:
        self.chapters += 1
        self.console.print(f"\n[bold cyan]{self.chapters}.[/] {text}")

    def fact(self, text: str) -> None:
        self.console.print(f"   [green]✓[/] {text}")

    def set_up(self) -> tuple[Installation, Installation, Installation]:
        self.chapter(f"Three installations are made in {self.folder}.")
        server = Installation(SERVER, "server", self.folder / SERVER)
        ann = Installation(ANN, "client", self.folder / ANN)
        ben = Installation(BEN, "client", self.folder / BEN)
        begun = [
            (server, server.prepare()),
            (ann, ann.prepare(SYNC_BATCH_LINES=ANN_BATCH_LINES)),
            (ben, ben.prepare()),
        ]
        for installation, process in begun:
            installation.finish(process, "migrate")
        self.fact("one server and two laptops, each with its own database, keys and settings")
        return server, ann, ben

    def enrol(self, server: Installation, addresses: list[tuple[Installation, str]]) -> None:
        self.chapter("The server is up. Both laptops enrol while they are still in the office.")
        with ThreadPoolExecutor() as both:
            codes = list(both.map(lambda pair: self.enrol_one(server, *pair), addresses))
        for (laptop, _), code in zip(addresses, codes, strict=True):
            self.fact(f"{laptop.name} enrolled with the one-time code [bold]{code}[/]")

    def enrol_one(self, server: Installation, laptop: Installation, url: str) -> str:
        code = str(json.loads(server.manage("add_device", laptop.name, "--json"))["code"])
        laptop.manage("enrol", "--server", url, "--code", code)
        return code

    def work_offline(self, ann: Installation, ben: Installation) -> dict[str, Any]:
        self.chapter("Out in the field. No network; both just save their forms.")
        with ThreadPoolExecutor() as both:
            bens = both.submit(ben.play, "ben_makes_records")
            morning = ann.play("ann_makes_records")
            afternoon = ann.play("ann_corrects_records")
            people = bens.result()["participants"]
        self.fact("Ann visits 5 households; in one form she types 16.50 kg for 61.50 kg")
        self.fact("in the afternoon she corrects the weight and replaces a broken specimen tube, giving reasons")
        self.fact("her supervisor renames a village with one UPDATE over 5 households: recorded all the same")
        self.fact(f"Ben takes in {people} people with bulk_create: recorded all the same")
        for laptop in (ann, ben):
            facts = laptop.play("waiting")
            expect(
                f"changes held by the server before {laptop.name} pushed",
                expected=0,
                found=facts["held_by_server"],
            )
            self.fact(f"{laptop.name} has {facts['recorded']} changes recorded, none of them sent")
        return {"morning": morning, "afternoon": afternoon}

    def push_with_power_cut(self, server: Installation, ann: Installation) -> None:
        self.chapter(f"Evening. Ann pushes, in batches of about {ANN_BATCH_LINES} changes. Her battery dies meanwhile.")
        ann.manage("push_transactions", status=KILLED, SYNC_FAILPOINT=POWER_CUT)
        facts = ann.play("waiting")
        there = server.play("received", ANN)
        self.fact(
            f"killed (kill -9) just as the server's second answer came in: the server holds "
            f"{there['transactions']} of {facts['recorded']} changes, "
            f"the laptop knows of {facts['held_by_server']}"
        )
        ann.manage("push_transactions")
        self.all_arrived_once(server, ann, "power back, pushed again from where it stopped")

    def push_with_pulled_cable(self, server: Installation, ben: Installation, shaky: Any) -> None:
        self.chapter("Ben pushes over a bad line.")
        ben.manage("push_transactions")
        expect("times the cable was pulled", expected=1, found=shaky.cuts)
        self.fact(f"the line broke after {shaky.bytes_before_cut} bytes of a request; the push tried again by itself")
        self.all_arrived_once(server, ben, "one command, nothing to do by hand")

    def all_arrived_once(self, server: Installation, laptop: Installation, how: str) -> None:
        facts, there = laptop.play("waiting"), server.play("received", laptop.name)
        expect("changes that arrived", expected=facts["recorded"], found=there["transactions"])
        expect("changes marked as held", expected=facts["recorded"], found=facts["held_by_server"])
        expect("changes that arrived twice", expected=0, found=there["doubled"])
        self.fact(
            f"{how}: all {there['transactions']} changes arrived, in signed batches "
            f"({there['batches']}), none lost and none twice"
        )

    def consume(self, server: Installation, ann: Installation, ben: Installation) -> None:
        self.chapter("The server applies what arrived.")
        report = json.loads(server.manage("consume_transactions", "--json"))
        expect("units that could not be applied", expected=0, found=report["parked_open"])
        tables.consumed(self.console, report["devices"])
        rows = {}
        for laptop in (ann, ben):
            own, arrived = laptop.play("own_rows"), server.play("arrived_rows", laptop.name)
            expect(f"rows of {laptop.name} on the server, by number and SHA-256", expected=own, found=arrived)
            rows[laptop.name] = {label: count for label, (count, _) in arrived.items()}
        tables.arrived(self.console, rows)
        self.fact("every value of every row equals the laptops' own (compared by SHA-256)")

    def look_back(self, server: Installation, moments: dict[str, Any]) -> None:
        self.chapter("Who changed that weight, when, and why? The record's history, as the server knows it:")
        versions = server.play("history", ANN, moments["morning"]["visit"])
        weights = [version["weight_kg"] for version in versions]
        expect("weights in the history", expected=[WEIGHT_TYPED, WEIGHT_RIGHT, WEIGHT_RIGHT], found=weights)
        tables.history(self.console, versions)
        self.chapter("And what did Ann's laptop show at the end of the morning, before any correction?")
        state = server.play("past", ANN, moments["morning"]["moment"])
        then, now = state["weights"]["MOC-0003"]
        expect("the weight then and now", expected=[WEIGHT_TYPED, WEIGHT_RIGHT], found=[then, now])
        tables.past(self.console, state)
