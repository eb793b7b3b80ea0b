"""The five tables of the Portal Project (`shared/portal`), as a study would model them: every value a text.

Columns that a table gained later are null in the rows of earlier revisions.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from sync_api.mixins import SyncModelMixin


class PortalManager(models.Manager[Any]):
    def get_by_natural_key(self, *key: str) -> Any:
        return self.get(**dict(zip(self.model.KEY, key, strict=True)))


class PortalRow(SyncModelMixin, models.Model):
    """A row known by its key columns, `KEY`."""

    KEY: ClassVar[tuple[str, ...]] = ()

    objects = PortalManager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return " ".join(self.natural_key())

    def natural_key(self) -> tuple[str, ...]:
        return tuple(getattr(self, column) for column in self.KEY)


def text() -> Any:
    return models.TextField(null=True)


class RodentSpecies(PortalRow):
    KEY = ("speciescode",)

    speciescode = models.TextField(unique=True)
    scientificname = text()
    taxa = text()
    commonname = text()
    censustarget = text()
    unidentified = text()
    rodent = text()
    granivore = text()
    minhfl = text()
    meanhfl = text()
    maxhfl = text()
    minwgt = text()
    meanwgt = text()
    maxwgt = text()
    juvwgt = text()


class RodentTrapping(PortalRow):
    KEY = ("period", "plot")

    day = text()
    month = text()
    year = text()
    period = models.TextField()
    plot = models.TextField()
    sampled = text()
    effort = text()
    qcflag = text()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "plot"], name="portal_trapping_key")]


class Plots(PortalRow):
    KEY = ("year", "month", "plot")

    year = models.TextField()
    month = models.TextField()
    plot = models.TextField()
    treatment = text()
    resourcetreatment = text()
    anttreatment = text()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["year", "month", "plot"], name="portal_plots_key")]


class PlantSpecies(PortalRow):
    KEY = ("speciescode",)

    speciescode = models.TextField(unique=True)
    genus = text()
    altgenus = text()
    species = text()
    altspecies = text()
    subspecies = text()
    commonname = text()
    family = text()
    duration = text()
    community = text()


class PlantCensusDates(PortalRow):
    KEY = ("year", "season")

    year = models.TextField()
    season = models.TextField()
    censusdone = text()
    start_month = text()
    start_day = text()
    end_month = text()
    end_day = text()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["year", "season"], name="portal_census_key")]


MODELS: dict[str, type[PortalRow]] = {
    "rodent_species": RodentSpecies,
    "rodent_trapping": RodentTrapping,
    "plots": Plots,
    "plant_species": PlantSpecies,
    "plant_census_dates": PlantCensusDates,
}
"""By the table's name in its file."""
