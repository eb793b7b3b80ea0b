"""Rows with their payloads sealed to recipients, before they become lines."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sync_api.exceptions import RecipientKeyMissing
from sync_api.recipients.book import public_keys
from sync_api.recipients.choosing import names_for, names_for_mark, sealed_models
from sync_api.sealing.pending import Row
from sync_api.wire.marks import MARK, read_mark
from sync_api.wire.sealed_payloads import Group, Place, new_group, seal_content


def seal_payloads(
    alias: str, place: Place, schema_ids: list[int], models: list[dict[str, Any]], rows: list[Row]
) -> tuple[list[Row], list[Group]]:
    """The rows of one batch with the payloads of sealed models sealed, and the groups for the header's `sealed`.

    Without sealed models among `models` (descriptions, in the order of `schema_ids`) the rows are as they came and
    there are no groups. RecipientKeyMissing, SealedModelsInvalid. Writes nothing.
    """
    chosen = sealed_models()
    if not chosen:
        return rows, []
    names = [names_for(model["label"], chosen) for model in models]
    if rows[-1].action == MARK:  # the last of its batch
        names[schema_ids.index(rows[-1].schema_id)] = names_for_mark(read_mark(rows[-1].payload), chosen)
    groups = new_groups(alias, place, names, models)
    if not groups:
        return rows, []
    by_schema = {schema_ids[index]: group for group in groups for index in group.facts["models"]}
    labels = {schema_id: model["label"] for schema_id, model in zip(schema_ids, models, strict=True)}
    sealed = [
        row if row.schema_id not in by_schema or row.payload is None
        else sealed_row(by_schema[row.schema_id], place, index, labels[row.schema_id], row)
        for index, row in enumerate(rows)
    ]  # fmt: skip
    return sealed, groups


def new_groups(alias: str, place: Place, names: list[tuple[str, ...]], models: list[dict[str, Any]]) -> list[Group]:
    """One group per set of keys, in order of its first model."""
    known = public_keys(alias, {name for own in names for name in own})
    indices: defaultdict[frozenset[str], list[int]] = defaultdict(list)
    for index, own in enumerate(names):
        for name in own:
            if name not in known:
                raise RecipientKeyMissing(model=models[index]["label"], recipient=name)
        if own:
            indices[frozenset(key for name in own for key in known[name])].append(index)
    return [new_group(place, of_models, sorted(keys)) for keys, of_models in indices.items()]


def sealed_row(group: Group, place: Place, index: int, label: str, row: Row) -> Row:
    text = seal_content(
        group, place, index, label, previous_key=row.previous_pk, reason=row.reason, payload=row.payload
    )
    return row._replace(previous_pk=None, reason=None, payload=f'"{text}"')
