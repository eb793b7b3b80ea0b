"""Sealed payloads that a server cannot read: set aside, in order, and applied once the key is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from sync_api.deserializer import consume, ignore, open_units, retry_parked
from sync_api.exceptions import RecipientKeyFileBroken
from sync_api.inbox import accept
from sync_api.models import IncomingBatch, IncomingTransaction, LocalDevice, OutgoingBatch, ParkedRecord
from sync_api.recipients.own import own_key
from sync_api.sealing import seal
from sync_api.wire import chain
from sync_api.wire.format import decode, encode
from sync_api.wire.keys import device_folder, device_keys
from sync_api.wire.sealed_payloads import SEALED_KEY
from tests.integration.deserializer.received import insert, update
from tests.integration.recipients.sealed import NAME, SERVER_NAMES, capture, knows, mirrored, push
from tests.matrix.models import Person, Place, Word

pytestmark = pytest.mark.django_db(databases=["default", "server", "server_pg"])
SECRET = "febrile since Tuesday"
INSPECTOR = "inspector-1"


@pytest.fixture(params=["default"], ids=["sqlite"])
def laptop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def sealed_to_the_inspector(enrolled_laptop: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.word": [INSPECTOR]}
    knows(enrolled_laptop, INSPECTOR)


def hand_key(server: str, name: str = INSPECTOR) -> None:
    """Bring the private key of `name` to the server, as an operator restores a key folder."""
    for path in device_folder(name).glob("recipient-*.pem"):
        shutil.copy(path, device_folder(SERVER_NAMES[server]) / path.name)


def parked(server: str) -> list[tuple[str, str, str]]:
    return list(open_units(server).values_list("code", "tx_name", "tx_pk"))


def place(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0}


def test_a_server_without_the_key_keeps_the_ciphertext_and_says_so(enrolled_laptop: str, server: str) -> None:
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)], [insert(Place, **place(1))])
    push(enrolled_laptop, server)
    report = consume(server)
    assert (report.total("inserted"), report.total("parked")) == (1, 1)
    (unit,) = open_units(server)
    assert (unit.code, unit.tx_pk) == ("payload_sealed", SEALED_KEY)
    assert "recipients" in unit.text
    assert "key" in unit.next_step
    row = IncomingTransaction.objects.using(server).get(tx_name="matrix.word")
    assert SECRET not in str(row.payload)
    assert "K-1" not in f"{row.tx_pk}{row.payload}"


def test_once_the_key_is_there_a_retry_reads_them(enrolled_laptop: str, server: str) -> None:
    capture(
        enrolled_laptop,
        [insert(Word, code="K-1", text="one", reason="why [not]")],
        [update(Word, code="K-1", text="two"), insert(Place, **place(1))],
    )
    push(enrolled_laptop, server)
    consume(server)
    assert retry_parked(server)[0].released == 0
    hand_key(server)
    assert retry_parked(server)[0].released == 2
    assert mirrored(Word, server, "code", "text") == [("K-1", "two")]
    assert mirrored(Place, server, "id") == [(1,)]
    first = IncomingTransaction.objects.using(server).order_by("sequence")[0]
    assert (first.tx_pk, first.reason, first.is_consumed) == ("K-1", "why [not]", True)
    assert consume(server).devices == []


def test_a_key_that_came_before_consuming_parks_nothing(enrolled_laptop: str, server: str) -> None:
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)])
    push(enrolled_laptop, server)
    hand_key(server)
    assert consume(server).total("parked") == 0
    assert mirrored(Word, server, "text") == [(SECRET,)]


def test_later_changes_of_the_model_wait_and_others_do_not(enrolled_laptop: str, server: str, settings: Any) -> None:
    capture(enrolled_laptop, [insert(Word, code="K-1", text="one")])
    push(enrolled_laptop, server)
    consume(server)
    settings.SYNC_SEALED_MODELS = {}
    capture(
        enrolled_laptop,
        [update(Word, code="K-1", text="two")],
        [insert(Person, id="ab" * 16, code="P1", note="", place=None, buddy=None)],
    )
    push(enrolled_laptop, server)
    consume(server)
    assert parked(server) == [
        ("payload_sealed", "matrix.word", SEALED_KEY),
        ("behind_parked", "matrix.word", "K-1"),
    ]
    assert mirrored(Person, server, "code") == [("P1",)]
    hand_key(server)
    consume(server)
    assert parked(server) == []
    assert mirrored(Word, server, "text") == [("two",)]


def test_once_opened_a_unit_holds_its_own_records_only(enrolled_laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.word": [INSPECTOR], "matrix.place": [INSPECTOR]}
    capture(enrolled_laptop, [update(Word, code="K-1", text="of a record that is not there")])
    push(enrolled_laptop, server)
    consume(server)
    settings.SYNC_SEALED_MODELS = {}
    capture(enrolled_laptop, [insert(Word, code="K-2", text="free")])
    push(enrolled_laptop, server)
    consume(server)
    assert [code for code, _, _ in parked(server)] == ["payload_sealed", "behind_parked"]
    hand_key(server)
    consume(server)
    consume(server)
    assert parked(server) == [("record_missing", "matrix.word", "K-1")]
    assert list(ParkedRecord.objects.using(server).filter(parked_unit__state="parked").values_list("tx_pk")) == [
        ("K-1",)
    ]
    assert mirrored(Word, server, "code") == [("K-2",)]


def test_ignoring_it_keeps_what_was_received_and_lets_the_others_go(
    enrolled_laptop: str, server: str, settings: Any
) -> None:
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)])
    push(enrolled_laptop, server)
    settings.SYNC_SEALED_MODELS = {}
    capture(enrolled_laptop, [insert(Word, code="K-2", text="open")])
    push(enrolled_laptop, server)
    consume(server)
    ignore(server, open_units(server)[0].pk, reason="read by the inspector")
    assert parked(server) == []
    assert mirrored(Word, server, "code") == [("K-2",)]
    assert IncomingTransaction.objects.using(server).get(is_ignored=True).tx_pk == SEALED_KEY


def test_the_command_shows_a_sealed_unit_without_a_value(enrolled_laptop: str, server: str, capsys: Any) -> None:
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)])
    push(enrolled_laptop, server)
    consume(server)
    (unit,) = open_units(server)
    call_command("parked", "show", str(unit.pk), database=server)
    call_command("parked", "list", database=server)
    told = capsys.readouterr().out
    assert "payload_sealed" in told
    assert " = " not in told
    assert SECRET not in told


# --- tampering ---------------------------------------------------------------------------------------------------


def resealed(laptop: str, change: Any) -> bytes:
    """The stored batch with header and lines as `change` leaves them, signed again by the device itself."""
    batch = OutgoingBatch.objects.using(laptop).get()
    envelope = decode(bytes(batch.content))
    header, lines = change(envelope.header, [json.loads(line) for line in envelope.lines])
    keys = device_keys(NAME)
    raw = [json.dumps(line, separators=(",", ":")).encode() for line in lines]
    salt = chain.batch_salt(keys.salt_key, header["epoch"], header["number"])
    return encode(header, raw, salt=salt, keys=keys).content


def altered_text(header: Any, lines: Any) -> Any:
    text = lines[0][8]
    lines[0][8] = ("B" if text[0] == "A" else "A") + text[1:]
    return header, lines


def swapped_lines(header: Any, lines: Any) -> Any:
    lines[0][8], lines[1][8] = lines[1][8], lines[0][8]
    return header, lines


def altered_wrapping(header: Any, lines: Any) -> Any:
    header["sealed"][0]["recipients"][0]["wrapped"] = "00" * 48
    return header, lines


def useless_ephemeral_key(header: Any, lines: Any) -> Any:
    header["sealed"][0]["key"] = "00" * 32
    return header, lines


def other_epoch(header: Any, lines: Any) -> Any:
    return header | {"epoch": "cd" * 16}, lines


@pytest.mark.parametrize("change", [altered_text, swapped_lines, altered_wrapping, useless_ephemeral_key, other_epoch])
def test_an_altered_ciphertext_is_parked_and_stops_nothing_else(
    enrolled_laptop: str, server: str, settings: Any, change: Any
) -> None:
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    capture(
        enrolled_laptop,
        [insert(Word, code="K-1", text="one")],
        [insert(Word, code="K-2", text="two")],
        [insert(Place, **place(1))],
    )
    seal(enrolled_laptop, NAME)
    accept(server, resealed(enrolled_laptop, change), NAME)
    report = consume(server)
    assert report.errors == []
    assert "payload_unreadable" in {code for code, _, _ in parked(server)}
    assert mirrored(Place, server, "id") == [(1,)]
    if change is altered_text:  # the line after it is whole, and waits: it may be of the same record
        assert [code for code, _, _ in parked(server)] == ["payload_unreadable", "behind_parked"]
        ignore(server, open_units(server)[0].pk, reason="the device's software was broken")
        assert mirrored(Word, server, "code") == [("K-2",)]


@pytest.mark.parametrize(
    "told",
    [
        b"not json at all, but encrypted",
        b'[null,null,["one value only"]]',
        b'[null,null,[["a list as key"],"x"]]',
        b'[null,5,["K-1","x"]]',
        b'[null,"a [bracket]",["K-1","x"]]',
        b'[null,null,["K-1","x"]]\n\t',
        b'{"a":1}',
        b"[]",
    ],
)
def test_a_device_that_seals_nonsense_is_parked_and_not_refused(
    enrolled_laptop: str, server: str, settings: Any, told: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a recipient can see must not decide whether a batch is accepted: all servers take the same batches."""
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    capture(enrolled_laptop, [insert(Word, code="K-1", text="one")])

    def seal_nonsense(group: Any, place: Any, index: int, label: str, **_: Any) -> str:
        import base64

        from sync_api.wire import sealed_payloads

        padded = told + b" " * 64
        nonce = sealed_payloads._nonce(index)
        return base64.b64encode(
            group.cipher.encrypt(nonce, padded, sealed_payloads.bound_to(place, index, label))
        ).decode()

    monkeypatch.setattr("sync_api.sealing.payloads.seal_content", seal_nonsense)
    push(enrolled_laptop, server)
    consume(server)
    assert [code for code, _, _ in parked(server)] == ["payload_unreadable"]
    assert IncomingBatch.objects.using(server).get().state == "consumed"


def test_a_batch_of_another_device_s_ciphertext_does_not_open(enrolled_laptop: str, server: str, settings: Any) -> None:
    """A device that copies another's ciphertext into a batch of its own signs it, and still gains nothing."""
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)])
    seal(enrolled_laptop, NAME)

    def as_another_number(header: Any, lines: Any) -> Any:
        return header | {"began": {"kind": "fresh"}, "epoch": "ef" * 16}, lines

    accept(server, resealed(enrolled_laptop, as_another_number), NAME)
    consume(server)
    assert [code for code, _, _ in parked(server)] == ["payload_unreadable"]
    assert LocalDevice.objects.using(enrolled_laptop).get(name=NAME).head_number == 1
    assert own_key(name).name == name


def test_the_key_folder_is_the_owner_s_alone(server: str, tmp_path: Path) -> None:
    own_key(SERVER_NAMES[server])
    files = list(device_folder(SERVER_NAMES[server]).iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len([path for path in files if path.name.startswith("recipient-")]) == 1


def test_a_damaged_key_of_the_server_refuses_the_batch_for_now_and_loses_nothing(
    enrolled_laptop: str, server: str, settings: Any
) -> None:
    name = SERVER_NAMES[server]
    settings.SYNC_SEALED_MODELS = {"matrix.word": [name]}
    knows(enrolled_laptop, name)
    capture(enrolled_laptop, [insert(Word, code="K-1", text=SECRET)])
    path = device_folder(name) / f"recipient-{own_key(name).key_id}.pem"
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(RecipientKeyFileBroken, match="Restore the key folder"):
        push(enrolled_laptop, server)
    assert not IncomingBatch.objects.using(server).exists()
    path.write_bytes(whole)
    push(enrolled_laptop, server)
    consume(server)
    assert mirrored(Word, server, "text") == [(SECRET,)]
