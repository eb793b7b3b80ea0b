"""The record index in tests of uploads, where it is built in: after every step it equals one rebuilt from nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from tests.camcops.models import Patient, PhotoSequence, PhotoSequencePhoto, ProgressNote, RefSatisGen

IDENTIFIERS: dict[Any, dict[str, Any]] = {
    Patient: {"identifiers": ("surname", "forename")},
    RefSatisGen: {"identifiers": ("id",)},
    ProgressNote: {"identifiers": ("location",), "parent": "patient"},
    PhotoSequence: {"identifiers": ("sequence_description",), "parent": "patient"},
    PhotoSequencePhoto: {"identifiers": ("description",), "parent": "photosequence"},
}


def record_index() -> Any:
    """The module, or None where it is not built in."""
    return importlib.import_module("audit.index") if find_spec("audit.index") else None


@contextmanager
def indexed() -> Iterator[None]:
    """Inside, the seed's tables are indexed."""
    index = record_index()
    if index is None:
        yield
        return
    for model, said in IDENTIFIERS.items():
        index.register(model, **said)
    try:
        yield
    finally:
        for model in IDENTIFIERS:
            index.unregister(model)


def check_record_index(alias: str) -> None:
    index = record_index()
    if index is not None:
        assert index.check_index(alias) == (0, [])
