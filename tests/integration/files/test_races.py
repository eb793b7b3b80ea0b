"""Bytes that come in the moment in which the same are removed: afterwards they are here, and no row says otherwise."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connections

from sync_api.files import store as store_module
from sync_api.files import uses
from sync_api.files.cleaning import remove_unnamed
from sync_api.files.places import Folder
from sync_api.files.storage import ContentStorage
from sync_api.files.store import ContentStore
from sync_api.models import Content, ContentUse
from sync_api.transactions import immediate
from tests.integration.files.conftest import on_disk
from tests.integration.files.test_store import BYTES, SHA256, parts

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
BESIDE_SECONDS = 0.3
"""For so long the other has time to come as far as the lock."""


class Pausing:
    """Holds a removal of bytes, inside its transaction, until something else has begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.removing, self.go_on = threading.Event(), threading.Event()
        original = Folder.remove

        def remove(place: Folder, sha256: str) -> None:
            self.removing.set()
            self.go_on.wait(10)
            original(place, sha256)

        monkeypatch.setattr(Folder, "remove", remove)

    def beside(self, alias: str, act: Any) -> Any:
        """What `act` gives, begun while the bytes are being removed."""

        def removal() -> None:
            try:
                remove_unnamed(alias, [SHA256])
            finally:
                connections[alias].close()

        def acting() -> Any:
            try:
                return act()
            finally:
                connections[alias].close()

        with ThreadPoolExecutor(2) as pool:
            removed = pool.submit(removal)
            assert self.removing.wait(10)
            acted = pool.submit(acting)
            threading.Event().wait(BESIDE_SECONDS)
            self.go_on.set()
            removed.result(20)
            return acted.result(20)


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> Pausing:
    return Pausing(monkeypatch)


def test_bytes_that_come_again_while_they_are_removed_are_here(
    server: str, files_folder: Path, pausing: Pausing
) -> None:
    store = ContentStore(server)
    store.take(parts())
    pausing.beside(server, lambda: store.take(parts()))
    assert on_disk(files_folder) == [SHA256]
    store.verify(SHA256)


def test_a_row_that_names_bytes_in_the_transaction_that_keeps_them_has_them(
    server: str, files_folder: Path, pausing: Pausing
) -> None:
    store = ContentStore(server)
    store.take(parts())

    def name_them() -> None:
        with store.receive(parts()) as (path, kept), immediate(server):
            store.keep(path, kept)
            uses.use(server, user="tests", key="1", sha256=kept.sha256)

    pausing.beside(server, name_them)
    remove_unnamed(server, [SHA256])
    assert on_disk(files_folder) == [SHA256]
    store.verify(SHA256)


def test_a_file_that_is_saved_while_the_same_bytes_are_removed_has_them(
    server: str, files_folder: Path, pausing: Pausing, settings: Any
) -> None:
    settings.SYNC_FILES_DATABASE = server
    ContentStore(server).take(parts())
    name = pausing.beside(server, lambda: ContentStorage().save("photo.png", ContentFile(BYTES)))
    with ContentStorage().open(name) as file:
        assert file.read() == BYTES


def test_whoever_asks_while_bytes_are_removed_hears_that_they_are_gone(
    server: str, files_folder: Path, pausing: Pausing
) -> None:
    ContentStore(server).take(parts())

    def ask() -> bool:
        with immediate(server):
            return uses.is_held(server, SHA256)

    assert pausing.beside(server, ask) is False
    assert not Content.objects.using(server).exists()
    assert not ContentUse.objects.using(server).exists()


def test_a_row_that_never_stays_is_the_databases_trouble_and_keeps_nothing(
    server: str, files_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "ROW_TRIES_MAX", 0)
    with pytest.raises(OperationalError):
        ContentStore(server).take(parts())
    assert on_disk(files_folder) == []
