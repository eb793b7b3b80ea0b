"""Validators run inside the commit on the resulting state; the question gives the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from audit.models import Device, Source, TableChanges
from sync_api.exceptions import Refusal
from sync_api.uploads.registry import registry
from sync_api.uploads.state import Row, State
from sync_api.uploads.validators import model_fields, references_exist
from tests.camcops.models import EveryKind, Patient, PhotoSequence, ProgressNote
from tests.integration.registering import Rest, group, member
from tests.integration.uploads.driving import mirror

pytestmark = pytest.mark.django_db(databases=["default", "server", "server_pg"])
CHANGED = "2026-04-22T15:36:08.381+01:00"


@pytest.fixture
def rest(server: str) -> Rest:
    own = group(server, "upload_records", "register_devices")
    nurse = Rest(member(server, own))
    assert nurse.post("devices/", device="tablet-a")[0] == 201
    return nurse


def at_most_two_notes(changed: Sequence[Row], state: State) -> Iterator[Refusal]:
    """On the whole resulting state: also notes that this upload does not touch count."""
    counts: dict[int, int] = {}
    for note in state.rows(ProgressNote).values():
        counts[note.values["patient"]] = counts.get(note.values["patient"], 0) + 1
    for key, values in changed:
        if counts[values["patient"]] > 2:
            yield Refusal("camcops.progressnote", key, "a patient has two notes at most", "patient")


def patient(key: int = 1, **values: Any) -> dict[str, Any]:
    return {"id": key, "when_last_modified": CHANGED, "forename": "A", "surname": "B", **values}


def note(key: int, owner: int = 1, text: str = "") -> dict[str, Any]:
    return {"id": key, "when_last_modified": CHANGED, "patient_id": owner, "note": text}


def one_step(rest: Rest, tables: dict[str, Any], **more: Any) -> tuple[int, Any]:
    return rest.post("uploads/one-step", device="tablet-a", tables=tables, **more)


def ask(rest: Rest, tables: dict[str, Any]) -> Any:
    status, told = rest.post("devices/tablet-a/validation", tables=tables)
    assert status == 200, told
    return told


def test_a_refused_state_is_not_committed_and_the_open_upload_stays_usable(server: str, rest: Rest) -> None:
    registry.validator(ProgressNote, at_most_two_notes)
    upload = rest.post("uploads", device="tablet-a")[1]["upload"]
    rest.post(f"uploads/{upload}/tables/patient", rows=[patient()])
    rest.post(f"uploads/{upload}/tables/progressnote", rows=[note(1), note(2), note(3)])
    status, told = rest.post(f"uploads/{upload}/commit")
    assert (status, told["code"]) == (409, "records_refused")
    assert told["refusals"][0] == {
        "model": "camcops.progressnote",
        "key": 1,
        "field": "patient",
        "reason": "a patient has two notes at most",
    }
    assert not Source.objects.using(server).exists()
    assert [row.code for row in TableChanges.objects.using(server).all()] == ["records_refused"], (
        "the audit has the refusal alone"
    )
    rest.post(f"uploads/{upload}/tables/progressnote", rows=[note(1), note(2)])
    assert rest.post(f"uploads/{upload}/commit")[0] == 200
    assert mirror("progressnote").objects.using(server).count() == 2


def test_what_the_upload_does_not_touch_counts_too(server: str, rest: Rest) -> None:
    registry.validator(ProgressNote, at_most_two_notes)
    assert one_step(rest, {"patient": [patient()], "progressnote": [note(1), note(2)]})[0] == 201
    status, told = one_step(rest, {"patient": [patient()], "progressnote": [note(1), note(2), note(3)]})
    assert (status, [one["key"] for one in told["refusals"]]) == (409, [3])
    assert one_step(rest, {"patient": [patient()], "progressnote": [note(1), note(3)]})[0] == 201


def test_a_preserving_upload_is_checked_on_what_it_preserves(server: str, rest: Rest) -> None:
    registry.validator(ProgressNote, at_most_two_notes)
    tables = {"patient": [patient()], "progressnote": [note(1), note(2), note(3)]}
    assert one_step(rest, tables, preserving=True)[1]["code"] == "records_refused"
    assert not Source.objects.using(server).exists()
    tables["progressnote"].pop()
    assert one_step(rest, tables, preserving=True)[0] == 201


CASES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "right": {"patient": [patient(sex="F", dob="1970-01-02")]},
    "too many notes": {"patient": [patient()], "progressnote": [note(1), note(2), note(3)]},
    "a note of nobody": {"progressnote": [note(1, owner=8)]},
    "an unknown table": {"nobody": [patient()]},
    "an unknown field": {"patient": [patient(shoe_size=45)]},
    "a reserved field": {"patient": [patient(_pk=7)]},
    "a wrong value": {"patient": [patient(dob="yesterday")]},
    "too long a text": {"patient": [patient(sex="FM")]},
    "a key twice": {"patient": [patient(), patient()]},
    "a field refuses": {"every_kind": [{"code": "8a0c2f5c3c1d4a0b9e3a0f1d2c3b4a59", "short": ""}]},
}


@pytest.mark.parametrize("what", CASES)
def test_the_question_and_the_commit_agree(server: str, rest: Rest, what: str) -> None:
    registry.validator(ProgressNote, at_most_two_notes, references_exist(ProgressNote))
    registry.validator(EveryKind, model_fields(EveryKind))
    told = ask(rest, CASES[what])
    status, _ = one_step(rest, CASES[what], app_version="2.0")
    assert told["valid"] == (status == 201) == (what == "right"), told
    assert told["valid"] == (not told["refusals"])
    assert mirror("patient").objects.using(server).count() == int(what == "right")


def test_the_question_names_what_is_wrong_and_never_a_value(rest: Rest) -> None:
    told = ask(rest, {"patient": [patient(shoe_size=45, dob="secret text", _era="x")], "gone": []})
    found = {(one["model"], one["key"], one["field"], one["reason"]) for one in told["refusals"]}
    assert found == {
        ("camcops.patient", 1, "shoe_size", "no such field"),
        ("camcops.patient", 1, "_era", "only the server writes this field"),
        ("camcops.patient", 1, "dob", "the field cannot hold this value"),
        ("gone", None, None, "no such table takes uploads"),
    }
    assert "secret text" not in str(told)


def test_new_records_need_no_key_to_be_asked_about(rest: Rest) -> None:
    registry.validator(ProgressNote, at_most_two_notes)
    fresh = [{"patient_id": 1, "note": "new"} for _ in range(3)]
    told = ask(rest, {"progressnote": fresh})
    assert [one["key"] for one in told["refusals"]] == [None, None, None]
    assert ask(rest, {"progressnote": fresh[:2]})["valid"]


def test_a_question_has_its_limit(rest: Rest, settings: Any) -> None:
    settings.SYNC_VALIDATE_RECORDS_MAX = 2
    told = ask(rest, {"patient": [patient(1), patient(2), patient(3)]})
    assert [one["reason"] for one in told["refusals"]] == ["too many records for one question"]


def test_a_validator_sees_the_models_own_values(server: str, rest: Rest) -> None:
    seen: list[Any] = []

    def look(changed: Sequence[Row], state: State) -> list[Refusal]:
        seen.append((type(state).__name__, dict(changed[0].values)))
        return []

    registry.validator(EveryKind, look)
    row = {
        "code": "8a0c2f5c-3c1d-4a0b-9e3a-0f1d2c3b4a59", "number": 5, "ratio": 0.5, "dose": "1.250", "done": True,
        "day": "2026-04-22", "clock": "12:30:00", "moment": CHANGED, "took": "PT90S", "raw": "AP8=",
        "answers": {"a": [1]}, "short": "x", "address": "10.0.0.1",
    }  # fmt: skip
    assert ask(rest, {"every_kind": [row]})["valid"]
    assert one_step(rest, {"every_kind": [row]}, app_version="2.0")[0] == 201
    (first, asked), (second, committed) = seen
    assert (first, second) == ("AskedState", "MirrorState")
    committed["raw"] = bytes(committed["raw"])
    assert asked == committed


def test_a_client_that_is_too_old_for_one_table_may_send_others(server: str, rest: Rest) -> None:
    tables = {"every_kind": [{"code": "8a0c2f5c3c1d4a0b9e3a0f1d2c3b4a59"}]}
    for version in ("1.9.9", "", "new"):
        status, told = one_step(rest, tables, app_version=version)
        assert (status, told["code"]) == (409, "client_too_old")
    assert one_step(rest, {"patient": [patient()]}, app_version="1.0")[0] == 201
    assert one_step(rest, {"patient": [patient()], **tables}, app_version="2.0.1")[0] == 201


def test_a_validator_is_registered_once(server: str) -> None:
    registry.validator(Patient, at_most_two_notes)
    registry.validator(Patient, at_most_two_notes)
    assert registry.validators[Patient] == [at_most_two_notes]
    assert PhotoSequence not in registry.validators
    assert not Device.objects.using(server).exists()
