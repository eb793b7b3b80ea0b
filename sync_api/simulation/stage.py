"""The computers of one run, the script of what is done with them, and how a command's end becomes an outcome.

A step never fails for what the product is allowed to say (a SyncError, a full disk, a broken road): that is its
outcome. Anything else that is raised is a finding.
"""

from __future__ import annotations

import functools
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from django.db import Error

from sync_api.client import enrol
from sync_api.enrolment.registration import add_device
from sync_api.exceptions import ServerRefused, SyncError
from sync_api.simulation.computers import Computer, Template, fast_folder
from sync_api.simulation.kills import Killed, killed_at
from sync_api.simulation.network import Network
from sync_api.simulation.truth import Account

Arguments = ParamSpec("Arguments")
Staged = TypeVar("Staged", bound="Stage")
Kill = tuple[str, int] | None
"""(failpoint, passage) at which a process is killed."""

SERVER = "central"
RELAYS = ("relay-1", "relay-2")


class Broken(AssertionError):
    """An invariant does not hold. Carries the script of the run."""

    def __init__(self, problems: Sequence[str], script: Sequence[str]) -> None:
        self.problems = list(problems)
        self.script = list(script)
        super().__init__("\n".join([*self.problems[:20], "", "The run:", *self.script]))


def step(
    method: Callable[Concatenate[Staged, Arguments], str],
) -> Callable[Concatenate[Staged, Arguments], str]:
    """A step of the script: noted before it is done, its outcome after. What is raised becomes Broken."""

    @functools.wraps(method)
    def noted(self: Staged, *args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
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

    return noted  # type: ignore[return-value]


@dataclass
class Stage:
    """The computers of one run. Use as a context manager: the end removes all files."""

    template: Template
    computers: dict[str, Computer] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    bundles: list[Path] = field(default_factory=list)
    network: Network = field(default_factory=Network)
    script: list[str] = field(default_factory=list)
    steps: int = 0
    counter: int = 0
    in_place_of: dict[str, str] = field(default_factory=dict)
    """By name of a lost computer: that of the one which was bought instead."""
    handed: defaultdict[str, set[tuple[str, str, int, str]]] = field(default_factory=lambda: defaultdict(set))
    """By middleman: the batches it was given, as (device, epoch, number, hash)."""
    lost: set[str] = field(default_factory=set)
    """Devices that are gone for good."""
    changed: dict[str, int] = field(default_factory=dict)
    """By computer: its last copy or restore, as the number of steps then."""
    parked: int = 0
    """Units that were parked when the server last consumed."""
    erased: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)
    """Per erasure: the digests of its orders, and texts that only the erased record held."""

    def __enter__(self: Staged) -> Staged:
        self._folder = tempfile.TemporaryDirectory(prefix="syncserver-simulation-", dir=fast_folder())
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
        self.network.hosts[name] = computer
        return computer

    def computer(self, name: str) -> Computer:
        """The computer of that name (or bought in its place), enrolled when it is first needed."""
        name = self.in_place_of.get(name, name)
        if name not in self.computers:
            role = "relay" if name.startswith(RELAYS) else "client"
            computer = self.add_computer(name, name, role)
            self.accounts[name] = Account()
            self.enrol(computer)
        return self.computers[name]

    def laptops(self) -> list[Computer]:
        return [computer for computer in self.computers.values() if computer.role == "client"]

    def relays(self) -> list[Computer]:
        return [computer for computer in self.computers.values() if computer.role == "relay"]

    def enrol(self, computer: Computer, *, new_key: bool = False) -> None:
        """Before a laptop is enrolled, the operator sees to it that the server has room."""
        self.server.close()
        with self.server.at_work():
            code = add_device(self.server.alias, computer.device, role=computer.role, by="simulation").code
        url = self.network.url(self.server)
        with computer.at_work():
            enrol(computer.alias, url, code, new_key=new_key, allow_http=True, transport=self.network.road())

    def next_counter(self) -> int:
        self.counter += 1
        return self.counter

    # --- commands

    def attempt(self, computer: Computer, work: Callable[[], str], kill: Kill = None) -> str:
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

    def found(self, problems: Sequence[str]) -> None:
        """Broken, if there are problems."""
        if problems:
            raise Broken(problems, self.script)
