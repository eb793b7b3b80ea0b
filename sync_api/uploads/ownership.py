"""Which records belong to one record: the root itself, and what refers to it through foreign keys, at any depth.

Pure: no database. A record belongs when each version of it refers to at least one record of the tree, and every
record of the tree that it refers to belongs. A reference to what is not there, or round in a circle, establishes
nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import models

from audit.mirror.columns import is_content_type
from audit.mirror.tables import MirrorTable
from sync_api.uploads.registry import Owner, Root, registry


class Node(NamedTuple):
    """One record, whichever its version."""

    model: type[models.Model]
    key: Any


class Version(NamedTuple):
    """A version of one record: its values by field name."""

    node: Node
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key of the tree: `field` holds the value of the parent's field `target`."""

    field: str
    parent: type[models.Model]
    target: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The models from which foreign keys lead to the root's model, with those keys."""

    root: Root
    links: Mapping[type[models.Model], tuple[Link, ...]]
    owners: Mapping[type[models.Model], Owner]
    tables: Mapping[str, type[models.Model]]

    def __contains__(self, model: object) -> bool:
        return model is self.root.model or model in self.links or model in self.owners


def tree_of(root: Root, tables: Iterable[MirrorTable]) -> Tree:
    """The tree below `root` among these tables."""
    sources = [table.source for table in tables]
    links = {model: tuple(own_links(model, sources)) for model in sources}
    members = {root.model}
    growing = True
    while growing:
        joining = {
            model for model in sources if model not in members and any(link.parent in members for link in links[model])
        }
        growing = bool(joining)
        members |= joining
    kept = {
        model: tuple(link for link in links[model] if link.parent in members)
        for model in members
        if model is not root.model
    }
    owners = {model: owner for model, owner in registry.owners.items() if model in set(sources)}
    return Tree(root, kept, owners, {model._meta.db_table: model for model in sources})


def own_links(model: type[models.Model], sources: list[type[models.Model]]) -> Iterator[Link]:
    for field in model._meta.local_concrete_fields:
        remote: Any = field.remote_field
        if not field.is_relation or remote is None or is_content_type(field) or remote.model not in sources:
            continue
        yield Link(field.name, remote.model, field.target_field.name)  # type: ignore[attr-defined]


def belonging(tree: Tree, identity: Mapping[str, Any], versions: Iterable[Version]) -> set[Node]:
    """The records among `versions` that belong to the root record of this identity. Linear in their number."""
    held: defaultdict[Node, list[Mapping[str, Any]]] = defaultdict(list)
    for node, values in versions:
        held[node].append(values)
    places = targets(tree, held)
    waiting: dict[Node, set[Node]] = {}
    followers: defaultdict[Node, list[Node]] = defaultdict(list)
    ready: deque[Node] = deque()
    for node, all_values in held.items():
        if node.model is tree.root.model:
            if all(matches(identity, values) for values in all_values):
                ready.append(node)
            continue
        parents = parents_of(tree, places, node, all_values)
        if parents:
            waiting[node] = parents
            for parent in parents:
                followers[parent].append(node)
    belongs: set[Node] = set()
    while ready:
        node = ready.popleft()
        belongs.add(node)
        for follower in followers[node]:
            waiting[follower].discard(node)
            if not waiting[follower]:
                ready.append(follower)
    return belongs


def matches(identity: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(values.get(name) == value for name, value in identity.items())


def targets(tree: Tree, held: Mapping[Node, Any]) -> dict[tuple[type[models.Model], str], dict[Any, Node]]:
    """Per referred field that is not the key: which record has the value."""
    wanted = {(link.parent, link.target) for links in tree.links.values() for link in links}
    wanted = {(model, name) for model, name in wanted if model._meta.pk is None or name != model._meta.pk.name}
    return {
        (model, name): {values[name]: node for node, all_values in held.items() if node.model is model
                        for values in all_values}
        for model, name in wanted
    }  # fmt: skip


def parents_of(
    tree: Tree,
    places: Mapping[tuple[type[models.Model], str], Mapping[Any, Node]],
    node: Node,
    all_values: list[Mapping[str, Any]],
) -> set[Node] | None:
    """The records that all versions of this one refer to; None when one version refers to none of the tree."""
    parents: set[Node] = set()
    for values in all_values:
        own = set(referred(tree, places, node, values))
        if not own:
            return None
        parents |= own
    return parents


def referred(
    tree: Tree,
    places: Mapping[tuple[type[models.Model], str], Mapping[Any, Node]],
    node: Node,
    values: Mapping[str, Any],
) -> Iterator[Node]:
    for link in tree.links.get(node.model, ()):
        value = values[link.field]
        if value is not None:
            by_value = places.get((link.parent, link.target))
            missing = Node(link.parent, ("missing", value))
            yield Node(link.parent, value) if by_value is None else by_value.get(value, missing)
    owner = tree.owners.get(node.model)
    if owner is not None:
        model = tree.tables.get(str(values[owner.table_field]))
        value = values[owner.key_field]
        key = value if model is None else read_key(model, value)
        yield Node(node.model if model is None else model, ("missing", value) if model is None else key)


def read_key(model: type[models.Model], value: Any) -> Any:
    """A key as the model's own field reads it; what it cannot read is nobody's."""
    try:
        assert model._meta.pk is not None
        return model._meta.pk.to_python(value)
    except ValidationError:
        return ("unreadable", value)
