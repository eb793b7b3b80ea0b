"""A committed answer stays, although a commit was in flight when it was asked for."""

from __future__ import annotations

import itertools
import threading

import pytest
from django.db import connections, transaction
from django.utils import timezone

from audit.correct import correct
from audit.models import Device
from audit.transactions import immediate
from tests.integration.mirror.committing import change, commit, committed_at, new_device, stamp
from tests.mirrored.models import Letter

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"], transaction=True)

WAIT_SECONDS = 20


def letter(action, key, text, second=0):
    return change(action, Letter, key, (key, text), stamp(second))


class Worker(threading.Thread):
    """Runs a function with connections of its own, and keeps its result or error."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act = act
        self.result = self.error = None
        self.start()

    def run(self):
        try:
            self.result = self.act()
        except Exception as error:
            self.error = error
        finally:
            connections.close_all()

    def done(self):
        self.join(WAIT_SECONDS)
        assert not self.is_alive(), "still waiting"
        if self.error is not None:
            raise self.error
        return self.result


def read(alias, moment):
    return sorted(Letter.mirror.using(alias).as_of(moment, "committed").values_list("id", flat=True))


def test_a_reader_waits_for_the_commit_in_flight_and_then_sees_it():
    alias = "server_pg"
    device = new_device(alias)
    commit(alias, device, [letter("I", 1, "a")])
    written, go = threading.Event(), threading.Event()

    def slow_commit():
        with transaction.atomic(using=alias):
            rows = commit(alias, device, [letter("I", 2, "b")])
            written.set()
            assert go.wait(WAIT_SECONDS)
        return committed_at(rows)

    writer = Worker(slow_commit)
    assert written.wait(WAIT_SECONDS)
    asked = timezone.now()
    reader = Worker(lambda: read(alias, asked))
    reader.join(0.3)
    assert reader.is_alive(), "the answer must wait: the commit's moment is before the one asked for"
    go.set()
    assert writer.done() < asked
    assert reader.done() == [1, 2]
    assert read(alias, asked) == [1, 2]


def test_a_commit_after_the_answer_gets_a_later_moment(server):
    device = new_device(server)
    commit(server, device, [letter("I", 1, "a")])
    asked = timezone.now()
    before = read(server, asked)
    rows = Worker(lambda: commit(server, device, [letter("I", 2, "b")])).done()
    assert committed_at(rows) > asked
    assert read(server, asked) == before == [1]


def test_many_writers_and_readers_leave_one_line_of_moments(server):
    devices = [new_device(server) for _ in range(3)]
    answers = []

    def write_some(device):
        return [committed_at(commit(server, device, [letter("I", n, "a", n)])) for n in range(8)]

    def read_some():
        for _ in range(12):
            asked = timezone.now()
            answers.append((asked, read(server, asked)))

    workers = [Worker(lambda device=device: write_some(device)) for device in devices]
    readers = [Worker(read_some), Worker(read_some)]
    moments = [moment for worker in workers for moment in worker.done()]
    for reader in readers:
        reader.done()
    assert len(set(moments)) == len(moments) == 24
    for asked, answer in answers:
        assert read(server, asked) == answer


def test_two_corrections_of_one_record_follow_each_other(server):
    device = new_device(server)
    commit(server, device, [letter("I", 1, "a")])

    def fix(text):
        return correct(Letter, device=device, key=1, values={"text": text}, user="dm", reason="checked", using=server)

    for worker in [Worker(lambda text=text: fix(text)) for text in ("b", "c", "d")]:
        worker.done()
    history = list(Letter.mirror.using(server).history(device, 1))
    assert sorted(row.text for row in history) == ["a", "b", "c", "d"]
    assert [row.mirror_current for row in history] == [False, False, False, True]
    for row, later in itertools.pairwise(history):
        assert row.mirror_successor == later.mirror_pk


def test_immediate_waits_for_the_write_lock_instead_of_failing():
    device = new_device("server")
    began, go = threading.Event(), threading.Event()

    def hold():
        with immediate("server"):
            began.set()
            assert go.wait(WAIT_SECONDS)
            device.friendly_name = "held"
            device.save(using="server")

    def read_then_write():
        with immediate("server"):
            device.refresh_from_db(using="server")
            device.friendly_name += " and read"
            device.save(using="server")

    holder = Worker(hold)
    assert began.wait(WAIT_SECONDS)
    second = Worker(read_then_write)
    second.join(0.2)
    assert second.is_alive()
    go.set()
    holder.done()
    second.done()
    device.refresh_from_db(using="server")
    assert device.friendly_name == "held and read"


def test_immediate_begins_at_once_whatever_the_connections_mode():
    connection = connections["server"]
    connection.close()
    connection.ensure_connection()
    mode, connection.transaction_mode = connection.transaction_mode, None
    try:
        with immediate("server"):
            other = Worker(lambda: new_device("server"))
            other.join(0.2)
            assert other.is_alive(), "the write lock is held although nothing was written yet"
        other.done()
        assert connection.transaction_mode is None
    finally:
        connection.transaction_mode = mode


def test_an_error_in_immediate_takes_everything_back(server):
    def register_and_fail():
        with immediate(server):
            new_device(server, "half-way")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        register_and_fail()
    assert not Device.objects.using(server).filter(name="half-way").exists()
    assert not connections[server].in_atomic_block
