"""Steps of those who carry: middlemen that pull and hand on, and files on sticks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from sync_api.bundles.export import export_bundle
from sync_api.bundles.importing import import_bundle
from sync_api.client.pull import pull
from sync_api.client.push import push_to_targets
from sync_api.client.relay import relay
from sync_api.client.targets import add_target
from sync_api.exceptions import PushTargetExists, SyncError
from sync_api.models import CarriedBatch
from sync_api.relay.purging import purge_carried
from sync_api.simulation.computers import Computer
from sync_api.simulation.stage import Kill, Stage, step
from sync_api.simulation.truth import read_rows

BUNDLES_MAX = 20


class Carrying(Stage):
    def note_handed(self, middleman: Computer) -> None:
        """Remember what a middleman has: should the laptop be lost, it has to arrive all the same."""
        if middleman.name in self.computers:
            carried = CarriedBatch.objects.using(middleman.alias)
            self.handed[middleman.name] |= set(carried.values_list("device", "epoch", "number", "hash"))

    @step
    def push_to_relay(self, name: str, relay_name: str, troubles: Sequence[str] = (), kill: Kill = None) -> str:
        """A laptop pushes to a middleman that it meets."""
        laptop, middleman = self.computer(name), self.computer(relay_name)

        def work() -> str:
            with suppress(PushTargetExists):
                add_target(laptop.alias, middleman.name, self.network.url(middleman), is_relay=True, allow_http=True)
            road = self.network.road(troubles)
            run = push_to_targets(laptop.alias, target=middleman.name, allow_http=True, transport=road)
            for result in run.results:
                if result.error is not None:
                    raise result.error
            return f"sent {sum(result.report.batches for result in run.results)} batches"

        outcome = self.attempt(laptop, work, kill)
        self.note_handed(middleman)
        return outcome

    @step
    def pull(self, relay_name: str, name: str, troubles: Sequence[str] = (), kill: Kill = None) -> str:
        """A middleman visits a laptop and takes what waits there."""
        middleman, laptop = self.computer(relay_name), self.computer(name)

        def work() -> str:
            url = self.network.url(laptop)
            report = pull(middleman.alias, url, allow_http=True, transport=self.network.road(troubles))
            return f"took {report.batches} batches, {len(report.refused)} refused"

        outcome = self.attempt(middleman, work, kill)
        self.note_handed(middleman)
        return outcome

    @step
    def relay(self, relay_name: str, troubles: Sequence[str] = (), kill: Kill = None) -> str:
        """A middleman hands on what it carries."""
        return self.do_relay(self.computer(relay_name), troubles, kill)

    def do_relay(self, middleman: Computer, troubles: Sequence[str] = (), kill: Kill = None) -> str:
        def work() -> str:
            report = relay(middleman.alias, allow_http=True, transport=self.network.road(troubles))
            return f"handed on {report.batches} batches, {len(report.problems)} refused"

        return self.attempt(middleman, work, kill)

    @step
    def purge(self, relay_name: str) -> str:
        """A middleman makes room: what a durable receipt covers goes."""
        middleman = self.computer(relay_name)
        return self.attempt(middleman, lambda: f"{purge_carried(middleman.alias).removed} removed")

    @step
    def export_bundle(self, name: str, small: bool = False, everything: bool = False, kill: Kill = None) -> str:
        """Write what a computer has to hand on to a stick, `small` in pieces."""
        computer = self.computer(name)
        folder = self.folder / "stick"
        folder.mkdir(exist_ok=True)

        def work() -> str:
            piece = 20_000 if small else None
            report = export_bundle(computer.alias, folder, piece_bytes=piece, everything=everything)
            self.bundles += [folder / one.name for one in report.files]
            del self.bundles[:-BUNDLES_MAX]
            return f"{report.batches} batches in {len(report.files)} files"

        return self.attempt(computer, work, kill)

    @step
    def import_bundle(self, name: str, which: int, kill: Kill = None) -> str:
        """Take in one of the files on the stick."""
        if not self.bundles:
            return "there is no bundle"
        computer = self.computer(name)
        path = self.bundles[which % len(self.bundles)]

        def work() -> str:
            report = import_bundle(computer.alias, path)
            return f"{report.stored} stored, {report.known} known, {report.early} early, {len(report.refused)} refused"

        return self.attempt(computer, work, kill)

    @step
    def import_damaged_bundle(self, name: str, which: int, cut_after: int) -> str:
        """The stick was pulled too early: the file is short. Nothing of it may be taken."""
        if not self.bundles:
            return "there is no bundle"
        computer = self.computer(name)
        path = self.bundles[which % len(self.bundles)]
        content = path.read_bytes()
        short = self.folder / f"short-{path.name}"
        short.write_bytes(content[: cut_after % len(content)])

        def work() -> str:
            try:
                report = import_bundle(computer.alias, short)
            except SyncError as error:
                return f"refused: {error.code}"
            self.found([f"a bundle cut after {cut_after % len(content)} bytes was imported: {report.stored} stored"])
            return "imported"

        before = read_rows(computer.alias)
        outcome = self.attempt(computer, work)
        self.found(["a damaged bundle changed a table"] if read_rows(computer.alias) != before else [])
        return outcome
