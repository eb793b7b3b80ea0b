"""Sealed payloads from capture to mirror: who has a key reads them as if they had never been sealed."""

from __future__ import annotations

from typing import Any

import pytest

from sync_api.deserializer import consume, open_units
from sync_api.exceptions import RecipientKeyMissing, SealedModelsInvalid
from sync_api.models import IncomingTransaction, OutgoingBatch
from sync_api.recipients.book import public_keys, retire_recipient
from sync_api.recipients.checks import check_sealed_models
from sync_api.recipients.own import own_key, rotate_own_key
from sync_api.sealing import seal
from sync_api.verification import verify_chain
from sync_api.wire.sealed_payloads import SEALED_KEY
from tests.integration.deserializer.received import baseline, delete, insert, update
from tests.integration.field import enrolled
from tests.integration.recipients.sealed import NAME, SERVER_NAMES, capture, knows, mirrored, push, set_up, visible
from tests.matrix.models import Person, Place, Symptom, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])
SECRET = "febrile since Tuesday"


def word(code: str, text: str = SECRET, **more: Any) -> dict[str, Any]:
    return {"code": code, "text": text, **more}


def place(number: int, visitors: int = 0) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": visitors}


def test_a_recipient_reads_what_nobody_on_the_way_can(enrolled_laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.Word": [SERVER_NAMES[server]]}
    knows(enrolled_laptop, SERVER_NAMES[server])
    capture(
        enrolled_laptop,
        [insert(Word, **word("K-17", reason="asked [the] mother")), insert(Place, **place(1))],
        [update(Word, **word("K-17", "well again [yes]"))],
        [insert(Word, **word("K-19")), baseline(Word, **word("K-20", 'quo"te \\ [["')), delete(Word, **word("K-19"))],
    )
    (envelope,) = push(enrolled_laptop, server)
    for value in (SECRET, "K-17", "K-20", "well again", "the] mother"):
        assert value not in visible(envelope)
    assert "place 1" in visible(envelope)
    assert "mona" in visible(envelope)
    consume(server)
    assert not open_units(server).exists()
    assert mirrored(Word, server, "code", "text") == [("K-17", "well again [yes]"), ("K-20", 'quo"te \\ [["')]
    assert mirrored(Place, server, "id", "visitors") == [(1, 0)]
    first = IncomingTransaction.objects.using(server).order_by("sequence")[0]
    assert (first.tx_pk, first.reason, first.user) == ("K-17", "asked [the] mother", "mona")
    assert verify_chain(enrolled_laptop).problems == []


def test_batches_without_sealed_models_are_byte_for_byte_as_before(
    enrolled_laptop: str, server: str, settings: Any
) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.word": [SERVER_NAMES[server]]}
    knows(enrolled_laptop, SERVER_NAMES[server])
    capture(enrolled_laptop, [insert(Place, **place(1))])
    (envelope,) = push(enrolled_laptop, server)
    assert "sealed" not in envelope.header
    assert envelope.lines[0].endswith(b'[1,"place 1",1,0]]')


def test_what_was_sealed_is_resent_and_never_sealed_again(enrolled_laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"*": [SERVER_NAMES[server]]}
    knows(enrolled_laptop, SERVER_NAMES[server])
    capture(enrolled_laptop, [insert(Word, **word("a"))])
    (first,) = push(enrolled_laptop, server)
    (again,) = push(enrolled_laptop, server)
    assert again == first
    assert IncomingTransaction.objects.using(server).count() == 1


def test_several_recipient_sets_travel_in_one_batch(enrolled_laptop: str, server: str, settings: Any) -> None:
    own = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {
        "matrix.word": [own, "inspector-1"],
        "matrix.person": ["inspector-1"],
        "matrix.symptom": [own],
        "*": [],
    }
    knows(enrolled_laptop, own, "inspector-1")
    person = {"id": "ab" * 16, "code": "P1", "note": SECRET, "place": 1, "buddy": None}
    capture(
        enrolled_laptop,
        [insert(Word, **word("w"))],
        [insert(Person, **person)],
        [insert(Symptom, id=1, name="cough")],
        [insert(Place, **place(1))],
    )
    (envelope,) = push(enrolled_laptop, server)
    groups = envelope.header["sealed"]
    assert [len(group["recipients"]) for group in groups] == [2, 1, 1]
    assert len({group["key"] for group in groups}) == 3
    consume(server)
    assert mirrored(Word, server, "code") == [("w",)]
    assert mirrored(Symptom, server, "name") == [("cough",)]
    assert mirrored(Place, server, "id") == [(1,)]
    assert list(open_units(server).values_list("code", "tx_name", "tx_pk")) == [
        ("payload_sealed", "matrix.person", SEALED_KEY)
    ]


def test_a_many_to_many_table_is_sealed_with_the_model_that_declares_it(
    enrolled_laptop: str, server: str, settings: Any
) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.person": [SERVER_NAMES[server]]}
    knows(enrolled_laptop, SERVER_NAMES[server])
    capture(enrolled_laptop, [insert(Person.symptoms.through, id=1, person="ab" * 16, symptom=7)])
    (envelope,) = push(enrolled_laptop, server)
    assert "ab" * 16 not in visible(envelope)


def test_a_missing_key_is_named_and_nothing_is_sealed_or_lost(enrolled_laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.word": [SERVER_NAMES[server], "inspector-1"]}
    knows(enrolled_laptop, SERVER_NAMES[server])
    capture(enrolled_laptop, [insert(Word, **word("a"))])
    with pytest.raises(RecipientKeyMissing, match=r"matrix\.word.*'inspector-1'.*recipients add inspector-1"):
        seal(enrolled_laptop, NAME)
    assert not OutgoingBatch.objects.using(enrolled_laptop).exists()
    knows(enrolled_laptop, "inspector-1")
    push(enrolled_laptop, server)
    consume(server)
    assert mirrored(Word, server, "text") == [(SECRET,)]


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ({"matrix.wrod": ["server-1"]}, "no model 'matrix.wrod'"),
        ({"matrix.PlainPlace": ["server-1"]}, "not synced"),
        ({"matrix.word": "server-1"}, "not a list"),
        (["matrix.word"], "not a mapping"),
    ],
)
def test_a_misspelt_setting_lets_nothing_pass_in_the_open(
    enrolled_laptop: str, settings: Any, setting: Any, what: str
) -> None:
    settings.SYNC_SEALED_MODELS = setting
    capture(enrolled_laptop, [insert(Word, **word("a"))])
    with pytest.raises(SealedModelsInvalid, match=what):
        seal(enrolled_laptop, NAME)
    (told,) = check_sealed_models(None)
    assert (told.id, what in told.msg) == ("sync_api.E010", True)
    assert not OutgoingBatch.objects.using(enrolled_laptop).exists()


def test_a_rotated_key_opens_old_and_new_batches(enrolled_laptop: str, server: str, settings: Any) -> None:
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    capture(enrolled_laptop, [insert(Word, **word("before"))])
    seal(enrolled_laptop, NAME)
    old = own_key(name)
    rotate_own_key(name)
    knows(enrolled_laptop, name)
    retire_recipient(enrolled_laptop, old.key_id)
    assert public_keys(enrolled_laptop, [name]) == {name: [own_key(name).public_key]}
    capture(enrolled_laptop, [insert(Word, **word("after"))])
    first, second = push(enrolled_laptop, server)
    key_ids = [[one["key_id"] for one in e.header["sealed"][0]["recipients"]] for e in (first, second)]
    assert key_ids == [[old.key_id], [own_key(name).key_id]]
    consume(server)
    assert mirrored(Word, server, "code") == [("after",), ("before",)]


def test_until_a_key_is_retired_both_can_read(enrolled_laptop: str, server: str, settings: Any) -> None:
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    rotate_own_key(name)
    knows(enrolled_laptop, name)
    capture(enrolled_laptop, [insert(Word, **word("a"))])
    (envelope,) = push(enrolled_laptop, server)
    assert len(envelope.header["sealed"][0]["recipients"]) == 2


def test_only_the_named_inspector_reads_what_two_servers_hold(settings: Any) -> None:
    set_up("default", "server")
    enrolled("server_pg", NAME)
    settings.SYNC_SEALED_MODELS = {"matrix.word": ["server-2"]}
    knows("default", "server-2")
    capture("default", [insert(Word, **word("a"))])
    for server in ("server", "server_pg"):
        push("default", server)
        consume(server)
    assert mirrored(Word, "server", "text") == []
    assert open_units("server").get().code == "payload_sealed"
    assert mirrored(Word, "server_pg", "text") == [(SECRET,)]
