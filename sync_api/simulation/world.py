"""One run: computers, their users' account, the steps, and healing. Every step is one line of the run's script.

A step never fails for what the product is allowed to say (a SyncError, a full disk, a broken road): that is its
outcome. Anything else that is raised is a finding.
"""

from __future__ import annotations

import functools
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec

from django.db import Error, connections

from audit.mirror.tables import mirror_tables
from sync_api.capture.baseline import baseline
from sync_api.capture.install import install
from sync_api.client import enrol, push
from sync_api.client.push import PushReport
from sync_api.deserializer import accept_baseline, consume, ignore, open_units, retry_parked
from sync_api.enrolment.registration import add_device, revoke_device
from sync_api.exceptions import ServerRefused, SyncError
from sync_api.models import DeviceCredential
from sync_api.simulation import writing
from sync_api.simulation.checks import check_everything, overtaking
from sync_api.simulation.computers import Computer, Template
from sync_api.simulation.kills import Killed, killed_at
from sync_api.simulation.network import Network
from sync_api.simulation.truth import Account

Arguments = ParamSpec("Arguments")
SERVER = "central"
REFUSING_TRIGGER = "sim_refuses"
ROUNDS_MAX = 6


class Broken(AssertionError):
    """An invariant does not hold. Carries the script of the run."""

    def __init__(self, problems: Sequence[str], script: Sequence[str]) -> None:
        self.problems = list(problems)
        self.script = list(script)
        super().__init__("\n".join([*self.problems[:20], "", "The run:", *self.script]))


def step(
    method: Callable[Concatenate[World, Arguments], str],
) -> Callable[Concatenate[World, Arguments], str]:
    """A step of the script: noted before it is done, its outcome after. What is raised becomes Broken."""

    @functools.wraps(method)
    def noted(self: World, *args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        line = f"world.{method.__name__}({', '.join(words)})"
        self.script.append(line)
        try:
            outcome = method(self, *args, **kwargs)
        except Broken:
            raise
        except Exception as error:
            raise Broken([f"{type(error).__name__}: {error}"], self.script) from error
        self.script[-1] = f"{line}  # {outcome}"
        self.steps += 1
        return outcome

    return noted


@dataclass
class World:
    """The computers of one run. Use as a context manager: the end removes all files."""

    template: Template
    computers: dict[str, Computer] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    script: list[str] = field(default_factory=list)
    steps: int = 0
    counter: int = 0
    server_was_restored: bool = False
    changed: dict[str, int] = field(default_factory=dict)
    """By computer: its last copy or restore, as the number of steps then."""
    parked: int = 0
    """Units that were parked when the server last consumed."""

    def __enter__(self) -> World:
        self._folder = tempfile.TemporaryDirectory(prefix="syncserver-simulation-")
        self.folder = Path(self._folder.name)
        self.server = self.add_computer(SERVER, SERVER, "server")
        return self

    def __exit__(self, *error: object) -> None:
        for computer in self.computers.values():
            computer.disconnect()
        self._folder.cleanup()

    # --- computers

    def add_computer(self, name: str, device: str, role: str) -> Computer:
        computer = Computer(name, device, role, self.folder / name)
        with computer.at_work():
            self.template.install(computer)
        self.computers[name] = computer
        if role != "client":
            self.network.hosts[name] = computer
        return computer

    def laptop(self, name: str) -> Computer:
        """The laptop of that name, bought and enrolled when it is first needed."""
        if name not in self.computers:
            computer = self.add_computer(name, name, "client")
            self.accounts[name] = Account()
            self.enrol(computer)
        return self.computers[name]

    def laptops(self) -> list[Computer]:
        return [computer for computer in self.computers.values() if computer.role == "client"]

    def enrol(self, computer: Computer, *, new_key: bool = False) -> None:
        with self.server.at_work():
            code = add_device(self.server.alias, computer.device, by="simulation").code
        url = self.network.url(self.server)
        with computer.at_work():
            enrol(computer.alias, url, code, new_key=new_key, allow_http=True, transport=self.network.road())

    def next_counter(self) -> int:
        self.counter += 1
        return self.counter

    # --- steps on a laptop

    @step
    def write(self, name: str, actions: Sequence[tuple[str, int]], ends: str = "commit") -> str:
        """A user writes; see `writing.ACTIONS`. Several actions are one unit."""
        computer = self.laptop(name)
        try:
            with computer.at_work():
                outcome = writing.write(computer, actions, counter=self.next_counter, ends=ends)
        except Killed:
            computer.close()
            outcome = "killed before the commit"
        self.note(computer)
        return outcome

    def note(self, computer: Computer) -> None:
        problems = self.accounts[computer.name].note(computer, computer.clock.told)
        if problems:
            raise Broken([f"{computer.name}: {problem}" for problem in problems], self.script)

    @step
    def push(
        self, name: str, troubles: Sequence[str] = (), cut_after: int = 0, kill: tuple[str, int] | None = None
    ) -> str:
        """The laptop sends what it has; each trouble spoils one request; `kill` is (failpoint, passage)."""
        return self._push(self.laptop(name), troubles, cut_after, kill)

    def _push(
        self,
        computer: Computer,
        troubles: Sequence[str] = (),
        cut_after: int = 0,
        kill: tuple[str, int] | None = None,
    ) -> str:
        return self.attempt(
            computer,
            lambda: push_outcome(
                push(computer.alias, allow_http=True, transport=self.network.road(troubles, cut_after=cut_after))
            ),
            kill,
        )

    def attempt(self, computer: Computer, work: Callable[[], str], kill: tuple[str, int] | None = None) -> str:
        """Run a command on a computer; what it is allowed to end with becomes the outcome."""
        try:
            with computer.at_work(), killed_at(*(kill or (None,))):
                return work()
        except Killed as error:
            computer.close()
            return f"killed at {error}"
        except ServerRefused as error:
            return f"refused: {error.code}"
        except SyncError as error:
            return f"stopped: {error.code}"
        except Error as error:
            if "database or disk is full" not in str(error):
                raise
            return "stopped: disk full"

    @step
    def deliver_delayed(self) -> str:
        """Requests that were held back on the road arrive, the last one first."""
        return f"answered {self.network.deliver_delayed()}"

    @step
    def jump_clock(self, name: str, seconds: int) -> str:
        clock = self.laptop(name).clock
        clock.now += seconds * 1_000_000_000
        return "set forwards" if seconds > 0 else "set back"

    @step
    def clone(self, name: str) -> str:
        """Copy a laptop, keys and all, onto another machine; both go on."""
        import shutil

        original = self.laptop(name)
        clone_name = f"{original.device}-clone"
        if clone_name in self.computers:
            return "there is a clone already"
        clone = Computer(clone_name, original.device, "client", self.folder / clone_name)
        clone.app_version = original.app_version
        clone.clock.now = original.clock.now
        original.copy_file(clone.file)
        shutil.copytree(original.keys, clone.keys)
        clone.connect()
        self.computers[clone_name] = clone
        self.accounts[clone_name] = Account()
        self.accounts[clone_name].start_again(clone)
        self.accounts[name].is_pure = False
        return f"cloned as {clone_name}"

    @step
    def back_up(self, name: str) -> str:
        """Keep a copy of a computer's database, as a nightly backup does."""
        computer = self.server if name == SERVER else self.laptop(name)
        path = self.folder / "copies" / f"{name}.sqlite3"
        computer.copy_file(path)
        self.copies[name] = path
        self.changed[name] = self.steps
        return "copied"

    @step
    def restore(self, name: str) -> str:
        """Put the last copy in place of a computer's database; what came after it is gone there."""
        if name not in self.copies:
            return "there is no copy"
        computer = self.computers[name]
        computer.replace_file(self.copies[name])
        self.changed[name] = self.steps
        if name == SERVER:
            self.server_was_restored = True
        else:
            self.accounts[name].start_again(computer)
        return "restored"

    @step
    def fill_disk(self, name: str) -> str:
        """From now on the computer's database cannot grow."""
        computer = self.server if name == SERVER else self.laptop(name)
        with connections[computer.alias].cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            (pages,) = cursor.fetchone()
            cursor.execute(f"PRAGMA max_page_count = {int(pages)}")
        return f"full at {pages} pages"

    @step
    def free_disk(self, name: str) -> str:
        computer = self.server if name == SERVER else self.laptop(name)
        computer.close()
        return "there is room again"

    @step
    def upgrade(self, name: str) -> str:
        """The study's next version is installed on a laptop."""
        computer = self.laptop(name)
        major, _, rest = computer.app_version.partition(".")
        computer.app_version = f"{int(major) + 1}.{rest}"
        return f"version {computer.app_version}"

    # --- steps on the server

    @step
    def consume(self, kill: tuple[str, int] | None = None) -> str:
        return self._consume(kill)

    def _consume(self, kill: tuple[str, int] | None = None) -> str:
        return self.attempt(self.server, self._consume_all, kill)

    def _consume_all(self) -> str:
        report = consume(self.server.alias)
        errors = [one.error for one in report.devices if one.error]
        errors = [error for error in errors if "disk is full" not in error]
        if errors:
            raise Broken(errors, self.script)
        self.parked = open_units(self.server.alias).count()
        if self.parked and (problems := list(overtaking(self.server.alias))):
            raise Broken(problems, self.script)
        return f"{sum(one.batches for one in report.devices)} batches, {self.parked} parked"

    @step
    def refuse_values(self, variety: int) -> str:
        """The server's database refuses, of one table, every second value: such units are to be parked."""
        tables = mirror_tables()
        table = tables[variety % len(tables)]
        with connections[self.server.alias].cursor() as cursor:
            cursor.execute(f"DROP TRIGGER IF EXISTS {REFUSING_TRIGGER}")
            cursor.execute(
                f'CREATE TRIGGER {REFUSING_TRIGGER} BEFORE INSERT ON "{table.name}"'
                f' WHEN unicode(substr(NEW."{table.key_column}", -1)) % 2 = {variety // len(tables) % 2}'
                " BEGIN SELECT RAISE(ABORT, 'constraint of the simulation'); END"
            )
        return f"refuses some of {table.label}"

    @step
    def allow_values(self) -> str:
        self._allow_values()
        return "refuses nothing"

    def _allow_values(self) -> None:
        with connections[self.server.alias].cursor() as cursor:
            cursor.execute(f"DROP TRIGGER IF EXISTS {REFUSING_TRIGGER}")

    @step
    def retry(self) -> str:
        """The operator has every parked unit tried again."""
        return self.attempt(
            self.server,
            lambda: f"{sum(one.released for one in retry_parked(self.server.alias))} released",
        )

    @step
    def ignore(self, which: int) -> str:
        """The operator sets a parked unit aside for good."""
        return self.decide(which, lambda unit: ignore(self.server.alias, unit, reason="simulated"))

    @step
    def accept(self, which: int) -> str:
        """The operator takes a laptop's baseline as the record's next version."""
        return self.decide(which, lambda unit: accept_baseline(self.server.alias, unit, reason="simulated"))

    def decide(self, which: int, decision: Callable[[int], object]) -> str:
        units = list(open_units(self.server.alias).order_by("pk").values_list("pk", flat=True))
        if not units:
            return "nothing is parked"

        def work() -> str:
            decision(units[which % len(units)])
            return "decided"

        return self.attempt(self.server, work)

    @step
    def revoke(self, name: str) -> str:
        """A laptop is reported stolen."""
        device = self.laptop(name).device

        def work() -> str:
            revoke_device(self.server.alias, device, reason="simulated")
            return "revoked"

        return self.attempt(self.server, work)

    @step
    def enrol_again(self, name: str, new_key: bool = False) -> str:
        """The operator enrols a laptop anew; what it then holds is compared with the mirror."""
        return self._enrol_again(self.laptop(name), new_key=new_key)

    def _enrol_again(self, computer: Computer, *, new_key: bool) -> str:
        def work() -> str:
            self.enrol(computer, new_key=new_key)
            baseline(computer.alias)
            return "enrolled again"

        self.accounts[computer.name].is_pure = False
        outcome = self.attempt(computer, work)
        self.accounts[computer.name].start_again(computer)
        return outcome

    # --- the end

    @step
    def heal(self) -> str:
        """Take all faults away and do what the documentation says, until everything has arrived: a clone gets a name
        of its own, a laptop that the server refuses is enrolled anew, baselines that differ are accepted."""
        for computer in self.computers.values():
            computer.close()  # ends a full disk
        self._allow_values()
        self.network.delayed.clear()
        for computer in self.laptops():
            if computer.name != computer.device:
                self._rename(computer)
        outcomes = [self._deliver_all(computer) for computer in self.laptops()]
        self._consume_everything()
        for computer in self.laptops():
            outcome = self._push(computer)
            if not outcome.startswith("sent"):
                raise Broken([f"{computer.name} cannot push after healing: {outcome}"], self.script)
        return "; ".join(outcomes)

    def _rename(self, clone: Computer) -> None:
        """A clone goes on as a device of its own: SYNC_DEVICE, migrate, enrol, baseline."""
        clone.disconnect()
        clone.device = clone.name
        clone.connect()
        with clone.at_work():
            install(clone.alias)
        self._enrol_again(clone, new_key=False)

    def _consume_everything(self) -> None:
        """Consume, accept what laptops say of records that differ, retry, until nothing changes."""
        before = -1
        for _ in range(ROUNDS_MAX):
            outcome = self._consume()
            if "batches" not in outcome:
                raise Broken([f"the server cannot consume after healing: {outcome}"], self.script)
            differing = open_units(self.server.alias).filter(code="baseline_differs", blocked_by=None)
            for unit in list(differing.order_by("pk").values_list("pk", flat=True)):
                self._accept(unit)
            if self.parked == before:
                return
            before = self.parked

    def _accept(self, unit: int) -> None:
        with self.server.at_work():
            accept_baseline(self.server.alias, unit, reason="simulated")

    def _deliver_all(self, computer: Computer) -> str:
        """Push until the server has said that it holds everything; enrol anew where it says so."""
        outcome = ""
        for _ in range(ROUNDS_MAX):
            outcome = self._push(computer)
            if outcome.startswith("sent 0"):
                return outcome
            if outcome.startswith(("refused", "stopped")):
                self._enrol_again(computer, new_key=self.is_revoked(computer))
        raise Broken([f"{computer.name} could not deliver everything: {outcome}"], self.script)

    def is_revoked(self, computer: Computer) -> bool:
        credentials = DeviceCredential.objects.using(self.server.alias).filter(device__name=computer.device)
        return credentials.exclude(revoked_at=None).exists()

    @step
    def check(self, moment: int = 0) -> str:
        """What must hold after healing; `moment` chooses the past states that are looked at."""
        problems, facts = check_everything(self, moment)
        if problems:
            raise Broken(problems, self.script)
        return facts


def push_outcome(report: PushReport) -> str:
    return f"sent {report.batches} batches, {report.transactions} transactions"


def new_epoch() -> str:
    return uuid.uuid4().hex
