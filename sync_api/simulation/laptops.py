"""Steps at the laptops: writing, pushing, finalizing, and what happens to a machine."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence

from sync_api.capture.baseline import baseline
from sync_api.client import push
from sync_api.client.finalize import carrier
from sync_api.finalizing.drive import finalize
from sync_api.simulation import writing
from sync_api.simulation.computers import Computer
from sync_api.simulation.kills import Killed
from sync_api.simulation.stage import SERVER, Kill, Stage, step
from sync_api.simulation.truth import Account


class Laptops(Stage):
    @step
    def write(self, name: str, actions: Sequence[tuple[str, int]], ends: str = "commit") -> str:
        """A user writes; see `writing.ACTIONS`. Several actions are one unit."""
        computer = self.computer(name)
        try:
            with computer.at_work():
                outcome = writing.write(computer, actions, counter=self.next_counter, ends=ends)
        except Killed:
            computer.close()
            outcome = "killed before the commit"
        self.found([f"{name}: {problem}" for problem in self.accounts[computer.name].note(computer)])
        return outcome

    @step
    def push(self, name: str, troubles: Sequence[str] = (), cut_after: int = 0, kill: Kill = None) -> str:
        """The laptop sends what it has; each trouble spoils one request; `kill` is (failpoint, passage)."""
        return self.do_push(self.computer(name), troubles, cut_after, kill)

    def do_push(self, computer: Computer, troubles: Sequence[str] = (), cut_after: int = 0, kill: Kill = None) -> str:
        def work() -> str:
            road = self.network.road(troubles, cut_after=cut_after)
            report = push(computer.alias, allow_http=True, transport=road)
            return f"sent {report.batches} batches, {report.transactions} transactions"

        return self.attempt(computer, work, kill)

    @step
    def finalize(self, name: str, chosen: int | None = None, troubles: Sequence[str] = (), kill: Kill = None) -> str:
        """The laptop has its records preserved and removes them; `chosen` moves one record off."""
        return self.do_finalize(self.computer(name), chosen, troubles, kill)

    def do_finalize(
        self, computer: Computer, chosen: int | None = None, troubles: Sequence[str] = (), kill: Kill = None
    ) -> str:
        account = self.accounts[computer.name]
        records = (
            []
            if chosen is None
            else [":".join(random.Random(chosen).choice(sorted(account.rows)))]
            if account.rows
            else []
        )

        def work() -> str:
            carry = carrier(computer.alias, allow_http=True, transport=self.network.road(troubles))
            done = finalize(computer.alias, records=records, reason="simulated", carry=carry, wait_seconds=0)
            return f"wiped {sum(counts['removed'] for counts in done.wiped.values())}"

        outcome = self.attempt(computer, work, kill)
        problems = account.note_wipe(computer, self.server)
        self.found([f"{computer.name}: {problem}" for problem in problems])
        return outcome

    @step
    def deliver_delayed(self) -> str:
        """Requests that were held back on the road arrive, the last one first."""
        return f"answered {self.network.deliver_delayed()}"

    # --- what happens to a machine

    @step
    def jump_clock(self, name: str, seconds: int) -> str:
        self.computer(name).clock.now += seconds * 1_000_000_000
        return "set forwards" if seconds > 0 else "set back"

    @step
    def upgrade(self, name: str) -> str:
        """The study's next version is installed on a laptop."""
        computer = self.computer(name)
        major, _, rest = computer.app_version.partition(".")
        computer.app_version = f"{int(major) + 1}.{rest}"
        return f"version {computer.app_version}"

    @step
    def clone(self, name: str) -> str:
        """Copy a laptop, keys and all, onto another machine; both go on."""
        original = self.computer(name)
        clone_name = f"{original.device}-clone"
        if clone_name in self.computers:
            return "there is a clone already"
        clone = Computer(clone_name, original.device, "client", self.folder / clone_name)
        clone.app_version = original.app_version
        clone.clock.now = original.clock.now
        original.copy_file(clone.file)
        shutil.copytree(original.keys, clone.keys)
        clone.connect()
        self.computers[clone_name] = self.network.hosts[clone_name] = clone
        self.accounts[clone_name] = Account()
        self.accounts[clone_name].start_again(clone)
        self.accounts[original.name].is_pure = False
        return f"cloned as {clone_name}"

    @step
    def back_up(self, name: str) -> str:
        """Keep a copy of a computer's database, as a nightly backup does."""
        computer = self.computer(name)
        path = self.folder / "copies" / f"{computer.name}.sqlite3"
        computer.copy_file(path)
        self.copies[computer.name] = path
        self.changed[name] = self.steps
        return "copied"

    @step
    def restore(self, name: str) -> str:
        """Put the last copy in place of a computer's database; what came after it is gone there."""
        name = self.in_place_of.get(name, name)
        if name not in self.copies:
            return "there is no copy"
        computer = self.computer(name)
        computer.replace_file(self.copies[name])
        self.changed[name] = self.steps
        if name != SERVER:
            self.accounts[computer.name].start_again(computer)
        return "restored"

    @step
    def lose(self, name: str) -> str:
        """A computer falls into the river. Another one is bought, with a name of its own."""
        computer = self.computer(name)
        computer.disconnect()
        del self.computers[computer.name], self.network.hosts[computer.name]
        self.copies.pop(computer.name, None)
        self.lost.add(computer.device)
        self.in_place_of[name] = f"{name}-{len(self.lost)}"
        return f"{self.in_place_of[name]} is in its place"

    @step
    def fill_disk(self, name: str) -> str:
        """From now on the computer's database cannot grow."""
        return f"full at {self.computer(name).fill_disk()} pages"

    @step
    def free_disk(self, name: str) -> str:
        self.computer(name).close()
        return "there is room again"

    @step
    def enrol_again(self, name: str, new_key: bool = False) -> str:
        """The operator enrols a laptop anew; what it then holds is compared with the mirror."""
        return self.do_enrol_again(self.computer(name), new_key=new_key)

    def do_enrol_again(self, computer: Computer, *, new_key: bool) -> str:
        def work() -> str:
            self.enrol(computer, new_key=new_key)
            baseline(computer.alias)
            return "enrolled again"

        self.accounts[computer.name].is_pure = False
        outcome = self.attempt(computer, work)
        self.accounts[computer.name].start_again(computer)
        return outcome
