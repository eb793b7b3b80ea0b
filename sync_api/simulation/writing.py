"""How a study writes to its own models: every way that Django knows, with rows of the simulation's making."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import Error, connections, models, transaction

from sync_api.capture import sync_context
from sync_api.simulation.computers import Computer
from sync_api.simulation.kills import Killed
from sync_api.simulation.values import Maker, NotMade, changeable_fields, new_row, studied_models

PARENTS_MAX = 20
ROWS_MAX = 4
"""Rows that one bulk write touches at most."""


@dataclass(slots=True)
class Writer:
    """Writes on one computer. `variety` decides model, rows and values: the same one writes the same."""

    alias: str
    model: type[models.Model]
    chance: random.Random
    counter: Callable[[], int]

    def maker(self) -> Maker:
        return Maker(self.alias, self.chance, self.counter())

    def rows(self, most: int) -> list[models.Model]:
        found = list(self.model._base_manager.using(self.alias).order_by("pk"))
        if not found:
            raise NotMade(f"there is no {self.model._meta.verbose_name} yet")
        return self.chance.sample(found, min(len(found), self.chance.randint(1, most)))

    def create(self) -> None:
        """A new row; where it would refer to one that is not there yet, that one."""
        model: type[models.Model] | None = self.model
        for _ in range(PARENTS_MAX):
            assert model is not None
            try:
                new_row(model, self.maker()).save(using=self.alias, force_insert=True)
                return
            except NotMade as error:
                model = error.lacks
                if model is None:
                    raise
        raise NotMade("records refer to each other in a circle")

    def save(self) -> None:
        (row,) = self.rows(1)
        self.change(row)
        row.save(using=self.alias)

    def change(self, row: models.Model) -> list[str]:
        fields = changeable_fields(self.model)
        maker = self.maker()
        chosen = self.chance.sample(fields, min(len(fields), self.chance.randint(1, 3)))
        for field in chosen:
            setattr(row, field.name, maker.value(field, unique=False))
        return [field.name for field in chosen]

    def bulk_create(self) -> None:
        rows = [new_row(self.model, self.maker()) for _ in range(self.chance.randint(1, ROWS_MAX))]
        if len((self.model._meta.concrete_model or self.model)._meta.parents):
            raise NotMade("Django creates no children in bulk")
        self.model._base_manager.using(self.alias).bulk_create(rows)

    def bulk_update(self) -> None:
        rows = self.rows(ROWS_MAX)
        names = sorted({name for row in rows for name in self.change(row)})
        if names:
            self.model._base_manager.using(self.alias).bulk_update(rows, names)

    def update(self) -> None:
        keys = [row.pk for row in self.rows(ROWS_MAX)]
        fields = changeable_fields(self.model)
        if not fields:
            raise NotMade(f"{self.model._meta.label} has nothing to change")
        field = self.chance.choice(fields)
        value = self.maker().value(field, unique=False)
        self.model._base_manager.using(self.alias).filter(pk__in=keys).update(**{field.name: value})

    def delete(self) -> None:
        (row,) = self.rows(1)
        row.delete(using=self.alias)

    def delete_many(self) -> None:
        keys = [row.pk for row in self.rows(ROWS_MAX)]
        self.model._base_manager.using(self.alias).filter(pk__in=keys).delete()

    def raw_update(self) -> None:
        """Past the ORM, as a script of the study might."""
        (row,) = self.rows(1)
        quote = connections[self.alias].ops.quote_name
        fields = [field for field in changeable_fields(self.model) if isinstance(field, models.TextField)]
        if not fields:
            raise NotMade(f"{self.model._meta.label} has no text")
        key = self.model._meta.pk
        assert key is not None
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(self.model._meta.db_table)} SET {quote(str(fields[0].column))} = %s"
                f" WHERE {quote(str(key.column))} = %s",
                [f"raw {self.counter()}", key.get_db_prep_value(row.pk, connections[self.alias])],
            )

    def m2m_add(self) -> None:
        manager, others = self.links()
        manager.add(*others)

    def m2m_remove(self) -> None:
        manager, _ = self.links(need_others=False)
        linked = list(manager.order_by("pk"))
        if not linked:
            raise NotMade("nothing is linked")
        manager.remove(self.chance.choice(linked))

    def m2m_set(self) -> None:
        manager, others = self.links()
        manager.set(others)

    def m2m_clear(self) -> None:
        manager, _ = self.links(need_others=False)
        manager.clear()

    def links(self, *, need_others: bool = True) -> tuple[Any, list[models.Model]]:
        declared: list[Any] = list(self.model._meta.many_to_many)
        fields = [field for field in declared if field.remote_field.through._meta.auto_created]
        if not fields:
            raise NotMade(f"{self.model._meta.label} has no many-to-many field")
        (row,) = self.rows(1)
        others = list(fields[0].remote_field.model._base_manager.using(self.alias).order_by("pk"))
        if need_others and not others:
            raise NotMade("there is nothing to link")
        return getattr(row, fields[0].name), self.chance.sample(
            others, min(len(others), self.chance.randint(1, ROWS_MAX))
        )


ACTIONS: tuple[str, ...] = (
    *("create", "save", "bulk_create", "update", "delete", "m2m_add", "m2m_remove", "m2m_set", "m2m_clear"),
    *("bulk_update", "delete_many", "raw_update"),
)
LINKING = tuple(name for name in ACTIONS if name.startswith("m2m"))
ENDS = ("commit", "rollback", "kill")


class Undone(Exception):
    """Raised inside a unit to take it back."""


def models_for(action: str) -> list[type[models.Model]]:
    studied, _ = studied_models()
    if action not in LINKING:
        return studied
    return [model for model in studied if model._meta.many_to_many] or studied


def write(
    computer: Computer, actions: Sequence[tuple[str, int]], *, counter: Callable[[], int], ends: str = "commit"
) -> str:
    """Do (action, variety) one after the other: alone without a block, several as one unit. What became of it.

    Raises Killed when it `ends` with a kill: nothing of it may remain.
    """
    try:
        with sync_context(user=f"user of {computer.name}", reason="simulated"):
            if len(actions) == 1 and ends == "commit":
                one(computer, *actions[0], counter)
                return "written"
            with transaction.atomic(using=computer.alias):
                done = [one_in_unit(computer, *action, counter) for action in actions]
                if ends == "kill":
                    raise Killed("writing")
                if ends == "rollback":
                    raise Undone
                if not any(done):
                    raise NotMade("nothing of the unit could be made")
            return f"{sum(done)} of {len(actions)} written as one unit"
    except Undone:
        return "taken back"
    except NotMade as error:
        return f"not made: {error}"
    except models.ProtectedError:
        return "not made: other records refer to it"
    except Error as error:
        if not is_expected(error):
            raise
        return f"refused by the database: {type(error).__name__}"


def one(computer: Computer, action: str, variety: int, counter: Callable[[], int]) -> None:
    chance = random.Random(variety)
    model = chance.choice(models_for(action))
    getattr(Writer(computer.alias, model, chance, counter), action)()


def one_in_unit(computer: Computer, action: str, variety: int, counter: Callable[[], int]) -> bool:
    """One write inside a unit; one that cannot be made is left out, by a savepoint."""
    try:
        with transaction.atomic(using=computer.alias):
            one(computer, action, variety, counter)
    except (NotMade, models.ProtectedError):
        return False
    except Error as error:
        if not is_expected(error):
            raise
        return False
    return True


def is_expected(error: Error) -> bool:
    """A constraint that holds, or a full disk."""
    from django.db import IntegrityError

    return isinstance(error, IntegrityError) or "database or disk is full" in str(error)
