"""Recipients' keys: an installation's own, those it knows, and the list that a server gives its devices."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from sync_api import exceptions as errors
from sync_api.client.enrol import enrol
from sync_api.client.recipients import refresh_recipients
from sync_api.enrolment.registration import add_device
from sync_api.models import LocalDevice, Recipient
from sync_api.recipients.book import add_recipient, known_recipients, public_keys, retire_recipient
from sync_api.recipients.lists import recipient_list, take_list
from sync_api.recipients.own import own_key, own_private_keys, rotate_own_key
from sync_api.wire.keys import device_folder, device_keys
from tests.integration.client.road import Road
from tests.integration.recipients.sealed import SERVER_NAMES

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])
URL = "http://127.0.0.1:9"


def told(*arguments: str, **options: Any) -> Any:
    output = io.StringIO()
    call_command("recipients", *arguments, "--json", stdout=output, **options)
    return json.loads(output.getvalue())


# --- own keys ------------------------------------------------------------------------------------------------


def test_two_at_once_agree_on_one_own_key() -> None:
    found: list[str] = []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        found.append(own_key("central").key_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert set(own_private_keys("central")) == set(found)


def test_rotation_keeps_every_key_before_it() -> None:
    ids = [own_key("central").key_id, rotate_own_key("central").key_id, rotate_own_key("central").key_id]
    assert own_key("central").key_id == ids[-1]
    assert set(own_private_keys("central")) == set(ids)
    assert {path.stat().st_mode & 0o777 for path in device_folder("central").iterdir()} == {0o600}


def test_a_damaged_key_file_is_named_with_its_remedy() -> None:
    key_id = own_key("central").key_id
    path = device_folder("central") / f"recipient-{key_id}.pem"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(errors.RecipientKeyFileBroken, match="Restore the key folder"):
        own_private_keys("central")
    path.unlink()
    with pytest.raises(errors.RecipientKeyFileBroken):
        own_key("central")
    assert rotate_own_key("central").key_id != key_id


# --- known keys ----------------------------------------------------------------------------------------------


def test_a_key_is_added_retired_and_added_again(laptop: str) -> None:
    key = own_key("inspector-1").public_key
    first = add_recipient(laptop, "inspector-1", f"  {key.upper()}\n", by="mona")
    assert public_keys(laptop, ["inspector-1", "nobody"]) == {"inspector-1": [key]}
    retire_recipient(laptop, first.key_id)
    retire_recipient(laptop, first.key_id)
    assert public_keys(laptop, ["inspector-1"]) == {}
    add_recipient(laptop, "inspector-1", key)
    assert public_keys(laptop, ["inspector-1"]) == {"inspector-1": [key]}
    assert len(known_recipients(laptop)) == 1


@pytest.mark.parametrize(
    ("name", "key"), [("inspector-1", "00" * 32), ("inspector-1", "12"), ("in spector", "ab" * 32), ("", "ab" * 32)]
)
def test_what_is_no_key_or_no_name_is_refused(laptop: str, name: str, key: str) -> None:
    with pytest.raises(errors.RecipientKeyInvalid):
        add_recipient(laptop, name, key)
    assert not Recipient.objects.using(laptop).exists()


def test_one_key_has_one_name(laptop: str) -> None:
    key = own_key("inspector-1").public_key
    add_recipient(laptop, "inspector-1", key)
    with pytest.raises(errors.RecipientKeyTaken, match="inspector-1"):
        add_recipient(laptop, "inspector-2", key)


def test_the_command_adds_lists_and_retires(laptop: str, capsys: Any) -> None:
    own = told("own", database="server")
    assert own == {
        "name": "server-1",
        "key_id": own_key("server-1").key_id,
        "public_key": own_key("server-1").public_key,
    }
    added = told("add", "server-1", key=own["public_key"], database=laptop)
    assert (added["name"], added["key_id"], added["retired_at"]) == ("server-1", own["key_id"], None)
    assert told("list", database=laptop)["recipients"] == [added]
    rotated = told("rotate", database="server")
    assert rotated["key_id"] != own["key_id"]
    assert told("retire", own["key_id"], database=laptop)["retired_at"]
    call_command("recipients", database=laptop)
    assert "retired" in capsys.readouterr().out
    call_command("recipients", "rotate", database="server")
    assert "still opens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (["add"], {}, "recipients add NAME --key HEX"),
        (["retire"], {}, "recipients retire KEY_ID"),
        (["add", "x"], {"key": "nonsense"}, "64 hex digits"),
        (["retire", "ab" * 8], {}, "recipients list"),
        (["refresh"], {}, "not enrolled"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], options: dict[str, Any], words: str) -> None:
    LocalDevice.objects.using("default").update(server_url="")
    with pytest.raises(CommandError, match=words):
        call_command("recipients", *arguments, **options)


# --- the server's list -------------------------------------------------------------------------------------------


@pytest.fixture
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    return server


def enrol_laptop(laptop: str, served: str) -> Road:
    road = Road()
    name = LocalDevice.objects.using(laptop).values_list("name", flat=True).get()
    enrol(laptop, URL, add_device(served, name).code, transport=road)
    return road


def test_enrolment_pins_the_server_s_key_and_those_it_knows(laptop: str, served: str) -> None:
    add_recipient(served, "inspector-1", own_key("inspector-1").public_key)
    retired = add_recipient(served, "inspector-0", own_key("inspector-0").public_key)
    retire_recipient(served, retired.key_id)
    enrol_laptop(laptop, served)
    server = SERVER_NAMES[served]
    assert public_keys(laptop, [server, "inspector-1", "inspector-0"]) == {
        server: [own_key(server).public_key],
        "inspector-1": [own_key("inspector-1").public_key],
    }


def test_a_rotated_key_reaches_the_device_by_refresh(laptop: str, served: str) -> None:
    road = enrol_laptop(laptop, served)
    name = SERVER_NAMES[served]
    old = own_key(name)
    by_hand = add_recipient(laptop, "inspector-1", own_key("inspector-1").public_key)
    new = rotate_own_key(name)
    taken = refresh_recipients(laptop, transport=road)
    assert (taken.added, taken.retired) == ([new.key_id], [old.key_id])
    assert public_keys(laptop, [name, "inspector-1"]) == {
        name: [new.public_key],
        "inspector-1": [by_hand.public_key],
    }
    again = refresh_recipients(laptop, transport=road)
    assert (again.added, again.retired) == ([], [])


def test_the_list_is_for_enrolled_devices_only(served: str) -> None:
    assert Client().get("/api/v1/recipients").status_code == 401


def test_a_list_that_the_pinned_server_did_not_sign_changes_nothing(laptop: str, server: str) -> None:
    name = SERVER_NAMES[server]
    facts = recipient_list(server)
    key = device_keys(name).public_hex
    forged = {**facts, "recipients": [{"name": name, "public_key": own_key("mallory").public_key}]}
    for value, signer_key in (
        (forged, key),
        (facts, device_keys("mallory").public_hex),
        ({**facts, "signer": "other"}, key),
        (None, key),
        ([], key),
        ({}, key),
    ):
        with pytest.raises(errors.RecipientsUnproven):
            take_list(laptop, value, server=name, server_key=signer_key)
    assert not Recipient.objects.using(laptop).exists()


def test_the_key_folder_names_no_private_key_in_public_answers(server: str, tmp_path: Path) -> None:
    facts = json.dumps(recipient_list(server))
    for path in device_folder(SERVER_NAMES[server]).iterdir():
        for line in path.read_text().splitlines():
            if len(line) > 20 and not line.startswith("-"):
                assert line not in facts
