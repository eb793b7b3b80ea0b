"""What a field day with a finalization needs: the way to the server, and what both sides then hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from sync_api.conf import alias_settings
from sync_api.deserializer import consume
from sync_api.finalizing.drive import finalize
from sync_api.models import (
    Finalization,
    IncomingTransaction,
    LocalDevice,
    OutgoingTransaction,
    ParkedUnit,
)
from sync_api.trust import statements_for, take_statements
from tests.matrix.models import BloodSpecimen, Person, Place, Specimen, Symptom, Word

LINKS: Any = Person.symptoms.through
MODELS: list[Any] = [Place, Symptom, Person, LINKS, Specimen, BloodSpecimen, Word]
NOW = "NOW"


@dataclass
class Day:
    """One laptop and its server, by their aliases."""

    laptop: str
    server: str

    @property
    def name(self) -> str:
        return alias_settings(self.laptop).device

    def local(self) -> LocalDevice:
        return LocalDevice.objects.using(self.laptop).get(name=self.name)

    def send(self) -> None:
        """Everything that waits reaches the server's inbox."""
        OutgoingTransaction.objects.using(self.laptop).filter(is_consumed_server=False).copy_to_incoming_transaction(
            self.server
        )

    def consume(self) -> Any:
        report = consume(self.server)
        assert not report.errors
        return report

    def tell(self) -> None:
        """The server's statements reach the laptop."""
        taken = take_statements(self.laptop, statements_for(self.server, [self.name]), via="the tests")
        assert not taken.refused

    def carry(self) -> None:
        self.send()
        self.consume()
        self.tell()

    def finalize(self, *records: str, **options: Any) -> Finalization:
        options.setdefault("carry", self.carry)
        return finalize(self.laptop, records=records, wait_seconds=0, **options)

    def make(self, word: str = "a") -> dict[str, Any]:
        """Rows of every shape that refer to one another."""
        place = Place.objects.using(self.laptop).create(name=f"place {word}")
        symptoms = [Symptom.objects.using(self.laptop).create(name=f"{word}{n}") for n in range(2)]
        first = Person.objects.using(self.laptop).create(code=f"1{word}", place=place)
        second = Person.objects.using(self.laptop).create(code=f"2{word}", place=place, buddy=first)
        first.buddy = second
        first.save(using=self.laptop)
        second.symptoms.set(symptoms)
        blood = BloodSpecimen.objects.using(self.laptop).create(name=f"blood {word}", volume=0.1, group="0")
        spoken = Word.objects.using(self.laptop).create(code=word, text="one")
        return {
            "place": place,
            "symptoms": symptoms,
            "first": first,
            "second": second,
            "blood": blood,
            "word": spoken,
        }

    def here(self) -> dict[str, int]:
        counts = {model._meta.label_lower: model._base_manager.using(self.laptop).count() for model in MODELS}
        return {label: count for label, count in counts.items() if count}

    def current(self, model: Any, era: str | None = None) -> Any:
        rows = model.mirror.using(self.server).current()
        return rows if era is None else rows.filter(mirror_era=era)

    def as_of(self, moment: datetime) -> dict[str, set[tuple[Any, ...]]]:
        """The content of every mirror at a captured moment, whatever the eras."""
        return {
            model.__name__: set(
                model.mirror.using(self.server)
                .as_of(moment)
                .values_list(*[field.name for field in model._meta.local_concrete_fields])
            )
            for model in MODELS
        }

    def eras(self) -> set[str]:
        return {era for model in MODELS for era in self.current(model).values_list("mirror_era", flat=True)}

    def parked(self) -> list[ParkedUnit]:
        return list(ParkedUnit.objects.using(self.server).filter(state="parked").order_by("id"))

    def received(self, action: str) -> int:
        return IncomingTransaction.objects.using(self.server).filter(action=action).count()

    def moment(self) -> datetime:
        return timezone.now()
