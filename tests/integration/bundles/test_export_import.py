"""The road of files: what is exported arrives once, in any order, however often; receipts come back the same way."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from sync_api import exceptions as errors
from sync_api.bundles.confirmation import confirm
from sync_api.bundles.importing import import_bundle
from sync_api.models import Bundle, CarriedBatch, LocalDevice, OutgoingBatch, OutgoingTransaction, Statement
from tests.integration.bundles.conftest import DATABASES, LAPTOP, World

pytestmark = [
    pytest.mark.django_db(databases=DATABASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


def test_what_waits_is_sealed_and_arrives_as_the_very_bytes(world: World) -> None:
    world.record(5)
    report = world.export(world.laptop)
    assert report.batches == 3
    (imported,) = world.bring(world.site)
    assert (imported.stored, imported.known, imported.early, imported.refused) == (3, 0, 0, [])
    assert world.held(world.site) == world.sealed()


def test_exporting_marks_nothing_as_delivered(world: World) -> None:
    world.batches(2)
    world.export(world.laptop)
    assert not OutgoingTransaction.objects.using(world.laptop).filter(is_consumed_server=True).exists()
    assert world.export(world.laptop).batches == 2


def test_imported_again_it_changes_nothing(world: World) -> None:
    world.batches(3)
    world.export(world.laptop)
    (path,) = world.files()
    import_bundle(world.site, path)
    before = world.everything(world.site)
    again = import_bundle(world.site, path)
    assert (again.stored, again.known) == (0, 3)
    assert world.everything(world.site) == before


def test_receipts_come_home_on_the_stick(world: World) -> None:
    world.batches(2)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site, statements_only=True)
    (report,) = world.bring(world.laptop)
    assert report.statements > 0
    assert LocalDevice.objects.using(world.laptop).get(name=LAPTOP).acknowledged_number == 2
    assert not OutgoingTransaction.objects.using(world.laptop).filter(is_consumed_server=False).exists()
    assert world.export(world.laptop).batches == 0
    assert world.export(world.laptop, everything=True).batches == 2


def test_pieces_arrive_in_any_order_and_repeatedly(world: World) -> None:
    world.batches(6)
    whole = len(world.bundle())
    report = world.export(world.laptop, piece_bytes=whole // 2 + 1_000)
    assert len(report.files) >= 2
    assert all((world.stick / one.name).stat().st_size == one.size <= whole // 2 + 1_000 for one in report.files)
    paths = world.files() * 2
    random.Random(3).shuffle(paths)
    for path in paths:
        import_bundle(world.site, path)
    assert world.held(world.site) == world.sealed()


def test_a_piece_that_no_batch_fits_is_refused_with_nothing_written(world: World) -> None:
    world.batches(1)
    with pytest.raises(errors.PieceTooSmall):
        world.export(world.laptop, piece_bytes=1_000)
    assert list(world.stick.iterdir()) == []


def test_a_relay_carries_a_bundle_on_in_another(world: World) -> None:
    world.batches(3)
    world.export(world.laptop)
    world.bring(world.relay)
    assert CarriedBatch.objects.using(world.relay).count() == 3
    world.export(world.relay)
    (report,) = world.bring(world.site)
    assert (report.exporter, report.stored) == ("test-relay", 3)
    assert world.held(world.site) == world.sealed()


def test_a_laptop_takes_receipts_and_leaves_batches_alone(world: World) -> None:
    world.batches(2)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site)
    (report,) = world.bring(world.laptop)
    assert (report.left, report.stored) == (2, 0)
    assert LocalDevice.objects.using(world.laptop).get(name=LAPTOP).acknowledged_number == 2


def test_with_nothing_to_say_no_file_is_written(world: World) -> None:
    report = world.export(world.laptop)
    assert report.files == []
    assert world.files() == []


def test_only_one_device_s_batches_are_taken_along(world: World) -> None:
    world.batches(1)
    assert world.export(world.laptop, devices=["test-other"]).batches == 0
    assert world.export(world.laptop, devices=[LAPTOP]).batches == 1


def test_a_laptop_without_a_certificate_is_told_to_enrol(world: World) -> None:
    LocalDevice.objects.using(world.laptop).filter(name=LAPTOP).update(certificate=None)
    world.record()
    with pytest.raises(errors.NotEnrolled):
        world.export(world.laptop)


def test_the_importer_s_code_confirms_the_exported_file(world: World) -> None:
    world.batches(1)
    world.export(world.laptop)
    (report,) = world.bring(world.site)
    bundle = confirm(world.laptop, report.confirmation.upper().replace("-", " "))
    assert (bundle.name, bundle.confirmed_at is not None) == (report.name, True)
    assert not OutgoingBatch.objects.using(world.laptop).filter(receipts__has_key="held").exists()
    with pytest.raises(errors.CodeMistyped):
        confirm(world.laptop, report.confirmation[:-1] + ("b" if report.confirmation[-1] != "b" else "d"))


def test_another_file_s_code_confirms_nothing(world: World) -> None:
    world.batches(1)
    world.export(world.laptop)
    (report,) = world.bring(world.site)
    Bundle.objects.using(world.laptop).all().delete()
    with pytest.raises(errors.ConfirmationUnknown):
        confirm(world.laptop, report.confirmation)


def test_the_history_knows_both_ways(world: World) -> None:
    world.batches(2)
    world.export(world.laptop)
    world.bring(world.site)
    out, back = Bundle.objects.using(world.laptop).get(), Bundle.objects.using(world.site).get()
    assert (out.direction, back.direction) == ("exported", "imported")
    assert (out.sha256, out.size, out.batches) == (back.sha256, back.size, back.batches)
    assert out.confirmation == back.confirmation != ""
    assert out.state == back.state == "done"


def test_a_fork_of_one_device_does_not_stop_the_rest(world: World, tmp_path: Path) -> None:
    world.batches(1)
    spoiled = world.export(world.laptop, everything=True).files[0].name
    device = LocalDevice.objects.using(world.laptop).get(name=LAPTOP)
    OutgoingTransaction.objects.using(world.laptop).all().delete()
    OutgoingBatch.objects.using(world.laptop).all().delete()
    LocalDevice.objects.using(world.laptop).filter(pk=device.pk).update(
        head_number=0, head_hash="", sequence=0, effective_at=0, sealed_until=0
    )
    world.batches(2)
    import_bundle(world.site, world.stick / spoiled)
    (world.stick / spoiled).unlink()
    world.export(world.laptop)
    (report,) = world.bring(world.site)
    assert [(one.number, one.code) for one in report.refused] == [(1, "batch_fork")]
    row = Bundle.objects.using(world.site).filter(state="failed").get()
    assert row.code == "bundle_incomplete"
    assert row.confirmation == ""


def test_the_laptop_s_state_rides_along(world: World) -> None:
    world.batches(1)
    world.export(world.laptop)
    world.bring(world.site)
    (heartbeat,) = Statement.objects.using(world.site).filter(kind="heartbeat", device=LAPTOP)
    assert heartbeat.facts["pending"] == 2


def test_other_accounts_cannot_read_a_bundle(world: World) -> None:
    world.batches(1)
    world.export(world.laptop)
    (path,) = world.files()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
