"""Which records belong to a root: the quick answer equals the rule read word by word."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from audit.mirror.tables import table_for
from sync_api.uploads.ownership import Node, Tree, Version, belonging, tree_of
from sync_api.uploads.registry import Owner, Root, registry
from tests.camcops.models import (
    Blob,
    Patient,
    PatientIdNum,
    PhotoSequence,
    PhotoSequencePhoto,
    ProgressNote,
    RefSatisGen,
)

MODELS = (Patient, PatientIdNum, ProgressNote, PhotoSequence, PhotoSequencePhoto, Blob, RefSatisGen)
IDENTITY = {"surname": "Own"}
PARENTS = {
    PatientIdNum: "patient",
    ProgressNote: "patient",
    PhotoSequence: "patient",
    PhotoSequencePhoto: "photosequence",
}
TABLES = {model._meta.db_table: model for model in MODELS}
keys = st.integers(1, 3)


def tree() -> Tree:
    return tree_of(Root(Patient, ("surname",), ("surname",)), [table_for(model) for model in MODELS])


@st.composite
def versions(draw: st.DrawFn) -> Version:
    model = draw(st.sampled_from(MODELS))
    values: dict[str, Any] = dict.fromkeys(table_for(model).columns)
    if model is Patient:
        values["surname"] = draw(st.sampled_from(["Own", "Own", "Else"]))
    elif model is Blob:
        values["tablename"] = draw(st.sampled_from([*TABLES, "nowhere", None]))
        values["tablepk"] = draw(keys)
    elif model in PARENTS:
        values[PARENTS[model]] = draw(st.none() | keys)
    return Version(Node(model, draw(keys)), values)


def word_by_word(held: list[Version]) -> set[Node]:
    """The least set in which every record's every version refers to something, and only to members."""
    belongs: set[Node] = set()
    nodes = {version.node for version in held}
    while True:
        more = {
            node for node in nodes - belongs
            if all(is_own(version, belongs) for version in held if version.node == node)
        }  # fmt: skip
        if not more:
            return belongs
        belongs |= more


def is_own(version: Version, belongs: set[Node]) -> bool:
    model, values = version.node.model, version.values
    if model is Patient:
        return values["surname"] == "Own"
    if model is Blob:
        owner = TABLES.get(values["tablename"])
        return owner is not None and Node(owner, values["tablepk"]) in belongs
    if model not in PARENTS or values[PARENTS[model]] is None:
        return False
    parent = Patient if PARENTS[model] == "patient" else PhotoSequence
    return Node(parent, values[PARENTS[model]]) in belongs


@given(st.lists(versions(), max_size=25))
def test_the_quick_answer_is_the_rule_read_word_by_word(held: list[Version]) -> None:
    before = registry.owners
    registry.owners = {Blob: Owner("tablename", "tablepk")}
    try:
        assert belonging(tree(), IDENTITY, held) == word_by_word(held)
    finally:
        registry.owners = before


def test_a_long_chain_takes_linear_time() -> None:
    count = 20_000
    held = [Version(Node(Patient, 1), dict.fromkeys(table_for(Patient).columns) | {"surname": "Own"})]
    columns = dict.fromkeys(table_for(ProgressNote).columns)
    held += [Version(Node(ProgressNote, key), columns | {"patient": 1}) for key in range(count)]
    began = time.perf_counter()
    assert len(belonging(tree(), IDENTITY, held)) == count + 1
    assert time.perf_counter() - began < 20.0


def test_what_no_foreign_key_leads_to_is_outside_the_tree() -> None:
    assert PhotoSequencePhoto in tree()
    assert RefSatisGen not in tree()
    assert Blob not in tree()
