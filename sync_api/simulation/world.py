"""All steps of a run, and its end: healing, and the check of everything."""

from __future__ import annotations

from sync_api.capture.install import install
from sync_api.deserializer import accept_baseline, open_units
from sync_api.finalizing.drive import abandon
from sync_api.finalizing.marking import open_finalizations
from sync_api.models import DeviceCredential
from sync_api.simulation.carrying import Carrying
from sync_api.simulation.checks import check_everything, handing_on_problems
from sync_api.simulation.computers import Computer
from sync_api.simulation.laptops import Laptops
from sync_api.simulation.servers import Servers
from sync_api.simulation.stage import Broken, step

ROUNDS_MAX = 6


class World(Laptops, Carrying, Servers):
    @step
    def heal(self) -> str:
        """Take all faults away and do what the documentation says, until everything has arrived: a clone gets a name
        of its own, a laptop that the server refuses is enrolled anew, baselines that differ are accepted, finalizing
        is ended or given up."""
        for computer in self.computers.values():
            computer.close()  # ends a full disk
        self.do_allow_values()
        self.network.delayed.clear()
        for computer in self.laptops():
            if computer.name != computer.device:
                self.rename(computer)
        self.hand_on_everything()
        self.found(handing_on_problems(self))
        outcomes = [self.deliver_all(computer) for computer in self.laptops()]
        self.consume_everything()
        ended = [computer for computer in self.laptops() if self.end_finalizing(computer)]
        outcomes += [self.deliver_all(computer) for computer in ended]
        self.hand_on_everything()
        self.consume_everything()
        return "; ".join(outcomes)

    def hand_on_everything(self) -> None:
        for middleman in self.relays():
            outcome = self.do_relay(middleman)
            if not outcome.startswith("handed on"):
                raise Broken([f"{middleman.name} cannot hand on after healing: {outcome}"], self.script)

    def rename(self, clone: Computer) -> None:
        """A clone goes on as a device of its own: SYNC_DEVICE, migrate, enrol, baseline."""
        clone.disconnect()
        clone.device = clone.name
        clone.connect()
        with clone.at_work():
            install(clone.alias)
        self.do_enrol_again(clone, new_key=False)

    def deliver_all(self, computer: Computer) -> str:
        """Push until the server has said that it holds everything; enrol anew where it says so."""
        outcome = ""
        for _ in range(ROUNDS_MAX):
            outcome = self.do_push(computer)
            if outcome.startswith("sent 0"):
                return outcome
            if outcome.startswith(("refused", "stopped")):
                self.do_enrol_again(computer, new_key=self.is_revoked(computer))
        raise Broken([f"{computer.name} could not deliver everything: {outcome}"], self.script)

    def is_revoked(self, computer: Computer) -> bool:
        credentials = DeviceCredential.objects.using(self.server.alias).filter(device__name=computer.device)
        return credentials.exclude(revoked_at=None).exists()

    def consume_everything(self) -> None:
        """Consume, accept what laptops say of records that differ, retry, until nothing changes."""
        before = -1
        for _ in range(ROUNDS_MAX):
            outcome = self.do_consume()
            if "batches" not in outcome:
                raise Broken([f"the server cannot consume after healing: {outcome}"], self.script)
            differing = open_units(self.server.alias).filter(code="baseline_differs", blocked_by=None)
            with self.server.at_work():
                for unit in list(differing.order_by("pk").values_list("pk", flat=True)):
                    accept_baseline(self.server.alias, unit, reason="simulated")
            if self.parked == before:
                return
            before = self.parked

    def end_finalizing(self, computer: Computer) -> bool:
        """Go on with what was begun; give it up where the server cannot preserve it. Whether anything was begun."""
        with computer.at_work():
            if not open_finalizations(computer.alias).exists():
                return False
        outcome = self.do_finalize(computer)
        if not outcome.startswith("wiped"):
            with computer.at_work():
                abandon(computer.alias, reason="simulated")
        return True

    @step
    def check(self, moment: int = 0) -> str:
        """What must hold after healing; `moment` chooses the past states that are looked at."""
        problems, facts = check_everything(self, moment)
        self.found(problems)
        return facts
