"""The copy on a stick: it holds what no server's backup does, and nothing of it is lost with the laptop."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from sync_api import exceptions as errors
from sync_api.bundles.backup import BackupReport, backup_unsent, watch_backup
from sync_api.bundles.importing import import_bundle
from sync_api.bundles.restore import restore_unsent
from sync_api.enrolment.registration import add_device
from sync_api.inbox import accept
from sync_api.models import IncomingBatch, LocalDevice, OutgoingBatch, OutgoingTransaction
from tests.integration.bundles.conftest import DATABASES, LAPTOP, SITE, World, enrol_at

pytestmark = [
    pytest.mark.django_db(databases=DATABASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


def copy(world: World) -> BackupReport:
    return backup_unsent(world.laptop, world.stick, same_disk=True)


def durable(world: World, number: int) -> None:
    """The home server's durable mark, as `LocalDevice` keeps it."""
    LocalDevice.objects.using(world.laptop).filter(name=LAPTOP).update(durable_number=number)


def lost(world: World) -> LocalDevice:
    """The laptop is lost; a new one gets its name, with a new key and a new database."""
    OutgoingTransaction.objects.using(world.laptop).all().delete()
    OutgoingBatch.objects.using(world.laptop).all().delete()
    LocalDevice.objects.using(world.laptop).all().filter(name=LAPTOP).delete()
    add_device(world.site, LAPTOP)
    return enrol_at(world.site, SITE, world.laptop, LAPTOP, "client")


def test_what_was_sealed_is_on_the_stick_and_a_server_can_import_it(world: World) -> None:
    world.record(5)
    report = copy(world)
    assert (report.unsecured, report.written, report.files) == (3, 3, 1)
    (path,) = world.files()
    assert import_bundle(world.site, path).stored == 3
    assert world.held(world.site) == world.sealed()


def test_only_what_is_new_is_written(world: World) -> None:
    world.batches(2)
    copy(world)
    assert copy(world).written == 0
    world.batches(1)
    report = copy(world)
    assert (report.unsecured, report.written, report.files) == (3, 1, 2)


def test_held_by_the_server_is_not_yet_secure(world: World) -> None:
    world.batches(2)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site, statements_only=True)
    world.bring(world.laptop)
    assert copy(world).written == 2


def test_what_became_durable_leaves_the_stick(world: World) -> None:
    world.batches(2)
    copy(world)
    world.batches(1)
    copy(world)
    durable(world, 2)
    report = copy(world)
    assert (report.unsecured, report.removed, report.files) == (1, 1, 1)
    durable(world, 3)
    assert copy(world).files == 0
    assert world.files() == []


def test_many_small_files_become_one(world: World, settings: Any) -> None:
    settings.SYNC_BACKUP_FILES_MAX = 2
    for _ in range(3):
        world.batches(1)
        copy(world)
    assert len(world.files()) == 1
    assert import_bundle(world.site, world.files()[0]).stored == 3


def test_a_damaged_copy_is_written_anew(world: World) -> None:
    world.batches(2)
    copy(world)
    (damaged,) = world.files()
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert copy(world).written == 2
    whole = [path for path in world.files() if path != damaged]
    assert import_bundle(world.site, whole[0]).stored == 2


def test_other_files_on_the_stick_are_not_touched(world: World) -> None:
    world.batches(1)
    other = world.stick / "unsent-test-laptop-2-notes.zip"
    other.write_bytes(b"mine")
    copy(world)
    durable(world, 1)
    copy(world)
    assert world.files() == [other]


def test_a_copy_on_the_same_disk_is_refused_unless_it_is_meant(world: World, settings: Any, tmp_path: Path) -> None:
    world.batches(1)
    name = Path(str(settings.DATABASES[world.laptop]["NAME"])).parent if world.laptop == "default" else tmp_path
    (name / "copy").mkdir()
    with pytest.raises(errors.SameDisk):
        backup_unsent(world.laptop, name / "copy")
    assert list((name / "copy").iterdir()) == []
    (name / "copy").rmdir()


def test_watching_copies_whenever_the_stick_is_there(world: World, settings: Any) -> None:
    settings.SYNC_BUNDLE_WATCH_SECONDS = 0
    world.batches(1)
    told: list[Any] = []
    passes = iter(range(5))
    elsewhere = world.stick.with_name("pulled-out")

    def again() -> bool:
        here = next(passes, None)
        if here == 0:
            world.stick.rename(elsewhere)
            world.batches(1)
        if here == 2:
            elsewhere.rename(world.stick)
        return here is not None

    watch_backup(world.laptop, world.stick, told.append, same_disk=True, again=again)
    assert [(one.unsecured, one.written) for one in told] == [(1, 1), (2, 1)]


def test_a_trouble_while_watching_is_told_once(world: World, settings: Any) -> None:
    settings.SYNC_BUNDLE_WATCH_SECONDS = 0
    LocalDevice.objects.using(world.laptop).filter(name=LAPTOP).update(certificate=None)
    told: list[Any] = []
    passes = iter(range(4))
    watch_backup(world.laptop, world.stick, told.append, same_disk=True, again=lambda: next(passes, None) is not None)
    assert [type(one) for one in told] == [errors.NotEnrolled]


def test_a_new_laptop_takes_the_copy_back_and_the_server_gets_it_first(world: World) -> None:
    world.batches(3)
    before = world.sealed()
    accept(world.site, before[0][1], LAPTOP)
    copy(world)
    device = lost(world)
    report = restore_unsent(world.laptop, world.stick)
    assert (report.restored, report.known) == (3, 0)
    assert restore_unsent(world.laptop, world.stick).known == 3
    assert world.sealed() == before
    world.batches(1)
    stored = OutgoingBatch.objects.using(world.laptop).order_by("id")
    for content in stored.values_list("content", flat=True):
        accept(world.site, bytes(content), LAPTOP)
    epochs = IncomingBatch.objects.using(world.site).filter(state="held").order_by("epoch__ordinal", "number")
    assert [(one.epoch.ordinal, one.number) for one in epochs.select_related("epoch")] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert device.epoch != before[0][0]


def test_restoring_waits_for_enrolment(world: World) -> None:
    world.batches(1)
    copy(world)
    lost(world)
    LocalDevice.objects.using(world.laptop).filter(name=LAPTOP).update(server_key="", certificate=None)
    with pytest.raises(errors.NotEnrolled):
        restore_unsent(world.laptop, world.stick)


@pytest.mark.parametrize("trouble", ["in use", "already new records", "damaged", "empty"])
def test_what_cannot_be_restored_changes_nothing(world: World, trouble: str) -> None:
    world.batches(2)
    copy(world)
    if trouble == "in use":
        OutgoingBatch.objects.using(world.laptop).filter(number=2).update(hash=secrets.token_hex(32))
    else:
        lost(world)
    if trouble == "already new records":
        LocalDevice.objects.using(world.laptop).filter(name=LAPTOP).update(acknowledged_number=1)
    path = world.files()[0]
    if trouble == "damaged":
        path.write_bytes(path.read_bytes()[:-5])
    if trouble == "empty":
        path.unlink()
    before = list(OutgoingBatch.objects.using(world.laptop).values_list("pk", "hash"))
    with pytest.raises((errors.RestoreRefused, errors.BundleDamaged, errors.BundleUnreadable)):
        restore_unsent(world.laptop, world.stick)
    assert list(OutgoingBatch.objects.using(world.laptop).values_list("pk", "hash")) == before
