"""Keys lie in files that only their owner can read, and signed facts cannot be taken for one another."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sync_api.exceptions import KeyFolderUnusable
from sync_api.wire.certificates import CERTIFICATE, RECEIPT, is_signed_by, signed
from sync_api.wire.keys import KEY_FILE, device_folder, device_keys


@pytest.fixture(autouse=True)
def key_folder(settings: Any, tmp_path: Path) -> None:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")


def test_a_key_is_made_once_and_only_its_owner_can_read_it() -> None:
    first, again = device_keys("laptop-9"), device_keys("laptop-9")
    assert first.public_hex == again.public_hex
    assert first.salt_key == again.salt_key
    folder = device_folder("laptop-9")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert (folder / KEY_FILE).read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_two_processes_agree_on_one_key_where_the_file_system_knows_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with ThreadPoolExecutor(4) as pool:
        found = {keys.public_hex for keys in pool.map(device_keys, ["laptop-9"] * 8)}
    assert len(found) == 1
    assert device_keys("laptop-9").public_hex in found


def test_a_key_folder_that_cannot_be_used_is_named(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    settings.SYNC_KEY_DIR = str(tmp_path / "a file")
    with pytest.raises(KeyFolderUnusable, match="SYNC_KEY_DIR"):
        device_keys("laptop-9")


def test_devices_have_keys_of_their_own() -> None:
    assert device_keys("laptop-8").public_hex != device_keys("laptop-9").public_hex


def test_a_signed_fact_is_good_under_its_own_heading_and_key_only() -> None:
    keys, other = device_keys("laptop-9"), device_keys("laptop-8")
    facts = signed(RECEIPT, {"kind": "held", "number": 1}, keys)
    assert is_signed_by(RECEIPT, facts, keys.public_hex)
    assert not is_signed_by(CERTIFICATE, facts, keys.public_hex)
    assert not is_signed_by(RECEIPT, facts, other.public_hex)
    assert not is_signed_by(RECEIPT, {**facts, "number": 2}, keys.public_hex)


@pytest.mark.parametrize("facts", [None, [], "x", {}, {"signature": 1}, {"signature": "zz"}, {"signature": "ab" * 64}])
def test_what_is_no_signed_fact_verifies_nothing(facts: Any) -> None:
    assert not is_signed_by(RECEIPT, facts, "00" * 32)
    assert not is_signed_by(RECEIPT, facts, "no hex")
