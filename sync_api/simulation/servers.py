"""Steps at the server: consuming, trouble with its database, and what its operator decides."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections

from audit.exceptions import EraReused
from audit.mirror.tables import mirror_tables
from sync_api.deserializer import accept_baseline, consume, ignore, open_units, retry_parked
from sync_api.enrolment.registration import revoke_device
from sync_api.erasing.erase import erase
from sync_api.finalizing.forcing import force_finalize
from sync_api.simulation.checks import overtaking
from sync_api.simulation.erasures import finalized_records, only_there, order_digests, texts_of
from sync_api.simulation.stage import SERVER, Kill, Stage, step
from sync_api.trust.durable import mark_durable

REFUSING_TRIGGER = "sim_refuses"


class Servers(Stage):
    @step
    def consume(self, kill: Kill = None) -> str:
        return self.do_consume(kill)

    def do_consume(self, kill: Kill = None) -> str:
        return self.attempt(self.server, self.consume_all, kill)

    def consume_all(self) -> str:
        report = consume(self.server.alias)
        self.found([one.error for one in report.devices if one.error and "disk is full" not in one.error])
        self.parked = open_units(self.server.alias).count()
        if self.parked:
            self.found(list(overtaking(self.server.alias)))
        return f"{sum(one.batches for one in report.devices)} batches, {self.parked} parked"

    @step
    def refuse_values(self, variety: int) -> str:
        """The server's database refuses, of one table, every second record: such units are to be parked."""
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
        self.do_allow_values()
        return "refuses nothing"

    def do_allow_values(self) -> None:
        with connections[self.server.alias].cursor() as cursor:
            cursor.execute(f"DROP TRIGGER IF EXISTS {REFUSING_TRIGGER}")

    @step
    def retry(self) -> str:
        """The operator has every parked unit tried again."""
        return self.attempt(
            self.server, lambda: f"{sum(one.released for one in retry_parked(self.server.alias))} released"
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
        device = self.computer(name).device

        def work() -> str:
            revoke_device(self.server.alias, device, reason="simulated")
            return "revoked"

        return self.attempt(self.server, work)

    @step
    def force_finalize(self, name: str) -> str:
        """The operator preserves the records of a laptop without its word."""
        device = self.computer(name).device

        def work() -> str:
            forced = force_finalize(self.server.alias, device, reason="simulated")
            return f"{sum(forced.records.values())} preserved"

        return self.attempt(self.server, work)

    @step
    def erase(self, which: int, kill: Kill = None) -> str:
        """Somebody asks for a finalized record to be erased."""
        finalized = finalized_records(self.server.alias)
        if not finalized:
            return "nothing is finalized"
        device, label, key = finalized[which % len(finalized)]
        texts = texts_of(self.server.alias, device, label, key)

        def work() -> str:
            before = order_digests(self.server.alias)
            report = erase(self.server.alias, label, [key], device=device, reason="simulated")
            orders = order_digests(self.server.alias) - before
            if orders:
                self.erased.append((orders, only_there(self.server.alias, texts)))
            return f"{report.versions} versions, {report.transactions} transactions"

        try:
            return self.attempt(self.server, work, kill)
        except EraReused:
            return "several records had the key"

    @step
    def mark_durable(self) -> str:
        """The operator has verified the last backup, and says so."""
        if SERVER not in self.copies:
            return "there is no backup"

        def work() -> str:
            marks = mark_durable(self.server.alias, backup=str(self.copies[SERVER]))
            return f"{sum(mark.number > mark.before for mark in marks)} marks moved"

        return self.attempt(self.server, work)
