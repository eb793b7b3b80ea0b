"""The seed's own lines (spec edc_sync, section 1) run as written, with its settings verbatim."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.seed_study import Study

COPY = (
    'OutgoingTransaction.objects.using("client").filter(is_consumed_server=False)'
    '.copy_to_incoming_transaction("server")'
)
DESERIALIZE = (
    'IncomingTransaction.objects.using("server").filter(is_consumed=False)'
    ".deserialize(custom_device=device, check_hostname=False)"
)


@pytest.fixture(scope="module", params=[1, 2], ids=["one file", "two files"])
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("migrated")
    Study(folder, files=request.param)
    return folder, request.param


@pytest.fixture
def study(migrated: tuple[Path, int], tmp_path: Path) -> Study:
    like, files = migrated
    return Study(tmp_path, files=files, like=like)


def test_the_seeds_lines_bring_a_clients_rows_to_the_server(study: Study) -> None:
    told = study.run(f"""
        device = Device.objects.using("server").create(name="community", role="server")
        place = Place.objects.using("client").create(name="clinic", visitors=3)
        person = Person.objects.using("client").create(code="P1", place=place)
        person.symptoms.add(Symptom.objects.using("client").create(name="cough"))
        Place.objects.using("client").update(visitors=4)
        person.delete()

        copied = {COPY}
        messages = {DESERIALIZE}

        answer(
            copied=copied.transactions,
            left=OutgoingTransaction.objects.using("client").filter(is_consumed_server=False).count(),
            names=[(m.index, m.total, m.tx_name, m.inserted, m.updated, m.deleted, m.success) for m in messages],
            producers=sorted({{m.producer for m in messages}}),
            visitors=list(Place.mirror.using("server").filter(mirror_current=True).values_list("visitors", flat=True)),
            people=Person.mirror.using("server").filter(mirror_current=True).count(),
            versions=Person.mirror.using("server").count(),
            committed=sorted(set(Place.mirror.using("server").values_list("mirror_added_by", flat=True))),
        )
        """)
    assert told["copied"] == 7
    assert told["left"] == 0
    assert [message[0] for message in told["names"]] == list(range(1, 8))
    assert {message[1] for message in told["names"]} == {7}
    assert [tuple(message[2:6]) for message in told["names"]] == [
        ("matrix.place", 1, 0, 0),
        ("matrix.person", 1, 0, 0),
        ("matrix.symptom", 1, 0, 0),
        ("matrix.person_symptoms", 1, 0, 0),
        ("matrix.place", 0, 1, 0),
        ("matrix.person_symptoms", 0, 0, 1),
        ("matrix.person", 0, 0, 1),
    ]
    assert all(message[6] for message in told["names"])
    assert all(producer.startswith("study-client/") and producer.endswith("/client") for producer in told["producers"])
    assert (told["visitors"], told["people"], told["versions"]) == ([4], 0, 1)
    assert told["committed"] == ["community"]


def test_the_lines_can_be_run_again_and_again(study: Study) -> None:
    told = study.run(f"""
        device = None
        counts = []
        for visitors in range(3):
            Place.objects.using("client").update_or_create(name="clinic", defaults={{"visitors": visitors}})
            counts.append([{COPY}.transactions, len({DESERIALIZE})])
            counts.append([{COPY}.transactions, len({DESERIALIZE})])
        answer(
            counts=counts,
            rows=IncomingTransaction.objects.using("server").count(),
            visitors=list(Place.mirror.using("server").order_by("mirror_pk").values_list("visitors", flat=True)),
        )
        """)
    assert told["counts"] == [[1, 1], [0, 0]] * 3
    assert told["rows"] == 3
    assert told["visitors"] == [0, 1, 2]


def test_a_filter_that_splits_a_unit_or_skips_an_earlier_one_is_refused_with_the_reason(study: Study) -> None:
    told = study.run(f"""
        from django.db import transaction
        device = None
        def refused(act):
            try:
                act()
            except SyncError as error:
                return [error.code, str(error)]
            return None

        Place.objects.using("client").create(name="first")
        with transaction.atomic(using="client"):
            Place.objects.using("client").create(name="second")
            Symptom.objects.using("client").create(name="cough")
        out = OutgoingTransaction.objects.using("client")
        copying = [
            refused(lambda: out.filter(tx_name="matrix.symptom").copy_to_incoming_transaction("server")),
            refused(lambda: out.filter(tx_pk="2").copy_to_incoming_transaction("server")),
            refused(lambda: out.order_by("-id")[:2].copy_to_incoming_transaction("server")),
            refused(lambda: out.order_by("id")[:1].copy_to_incoming_transaction("server")),
            refused(lambda: out.filter(is_consumed_server=False).copy_to_incoming_transaction("client")),
            refused(lambda: OutgoingTransaction.objects.using("server").copy_to_incoming_transaction("client")),
        ]
        nothing = IncomingTransaction.objects.using("server").count()
        {COPY}
        inbox = IncomingTransaction.objects.using("server")
        consuming = [
            refused(lambda: inbox.filter(tx_name="matrix.symptom").deserialize(check_hostname=False)),
            refused(lambda: inbox.filter(unit=1).deserialize(check_hostname=False)),
        ]
        untouched = inbox.filter(is_consumed=False).count()
        first = inbox.filter(unit=0).deserialize(check_hostname=False)
        rest = {DESERIALIZE}
        answer(copying=copying, nothing=nothing, consuming=consuming, untouched=untouched,
            first=len(first), rest=len(rest), left=inbox.filter(is_consumed=False).count())
        """)
    assert [code for code, _ in told["copying"]] == [
        "filter_splits_unit",
        "filter_splits_unit",
        "filter_skips_earlier",
        "filter_splits_batch",
        "same_database",
        "not_a_server",
    ]
    assert told["nothing"] == 0
    assert [code for code, _ in told["consuming"]] == ["filter_splits_unit", "filter_skips_earlier"]
    assert "one database transaction" in told["consuming"][0][1]
    assert (told["untouched"], told["first"], told["rest"], told["left"]) == (3, 1, 2, 0)


def test_only_a_server_deserializes_and_the_hosts_own_transactions_are_refused_unless_told(study: Study) -> None:
    told = study.run(f"""
        Place.objects.using("client").create(name="clinic")
        device = None
        {COPY}
        laptop = Device.objects.using("server").get(name="study-client")
        def refused(**options):
            try:
                IncomingTransaction.objects.using("server").filter(is_consumed=False).deserialize(**options)
            except SyncError as error:
                return error.code
        codes = [
            refused(custom_device=laptop, check_hostname=False),
            refused(custom_device="study-client", check_hostname=False),
            refused(custom_device="nobody", check_hostname=False),
            refused(),
        ]
        answer(codes=codes, applied=Place.mirror.using("server").count(), told=len({DESERIALIZE}))
        """)
    assert told["codes"] == ["not_a_server", "not_a_server", "device_not_registered", "own_host"]
    assert (told["applied"], told["told"]) == (0, 1)


def test_a_model_without_natural_keys_is_refused_with_what_to_write(study: Study) -> None:
    told = study.run("""
        from django.db import models
        from sync_api.mixins import SyncModelMixin
        class MaternalCrf(SyncModelMixin, models.Model):
            class Meta:
                app_label = "matrix"
        try:
            MaternalCrf().save(using="client")
        except SyncError as error:
            answer(text=str(error))
        """)
    assert "MaternalCrf" in told["text"]
    assert "natural_key" in told["text"]
