"""What the audit layer can refuse, each with a stable code and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


class AuditError(Exception):
    """Base of all errors of `audit`. The text is for people and ends with the remedy."""

    code = "audit_error"


class NotMirrored(AuditError):
    """The model has no mirror table."""

    code = "not_mirrored"

    def __init__(self, *, label: str) -> None:
        self.label = label
        super().__init__(
            f"{label} has no mirror. Declare it with SyncModelMixin; "
            "`manage.py check` tells whether a name is in the way."
        )


class UnknownDevice(AuditError):
    """No device of that name or id is registered in this database."""

    code = "unknown_device"

    def __init__(self, *, device: object, alias: str) -> None:
        self.device = device
        super().__init__(f"No device {device!r} is registered in database '{alias}'. Register it with add_device.")


class UnknownTimeline(AuditError):
    """A timeline other than the two that exist."""

    code = "unknown_timeline"

    def __init__(self, *, timeline: str) -> None:
        super().__init__(f"There is no timeline {timeline!r}. Use 'captured' or 'committed'.")


class NaiveMoment(AuditError):
    """A moment without a time zone could mean several."""

    code = "naive_moment"

    def __init__(self, *, moment: object) -> None:
        super().__init__(f"The moment {moment} has no time zone. Write it as 2026-05-01T12:00:00+02:00.")


class FutureMoment(AuditError):
    """What will have been committed at a future moment cannot be known, so it cannot be promised."""

    code = "future_moment"

    def __init__(self, *, moment: datetime, now: datetime) -> None:
        self.moment = moment
        super().__init__(
            f"{moment.isoformat()} lies in the future of this server ({now.isoformat()}). "
            "Ask for a moment up to now, or correct the server's clock."
        )


class ReasonRequired(AuditError):
    """A correction or an erasure without a reason."""

    code = "reason_required"

    def __init__(self, *, label: str, what: str = "A correction") -> None:
        super().__init__(f"{what} of {label} needs a reason. Give reason='why it is changed'.")


class UnknownField(AuditError):
    """A correction names fields that the model does not have, or its key."""

    code = "unknown_field"

    def __init__(self, *, label: str, fields: Iterable[str], known: Iterable[str]) -> None:
        self.fields = sorted(fields)
        super().__init__(
            f"{label} has no field to correct named {', '.join(self.fields)}. Its fields are: {', '.join(known)}."
        )


class InvalidValue(AuditError):
    """A correction's value does not fit its field. The text names the field, never the value."""

    code = "invalid_value"

    def __init__(self, *, label: str, field: str, why: str) -> None:
        self.field = field
        super().__init__(f"The value for {label}.{field} does not fit: {why} Give a value the model itself accepts.")


class NoCurrentRecord(AuditError):
    """There is no current version of the record to correct."""

    code = "no_current_record"

    def __init__(self, *, label: str, device: str, era: str, key: object) -> None:
        super().__init__(
            f"Device '{device}' has no current {label} with key {key} in era {era}. "
            "Look at its history with .history(device, key)."
        )


class DifferentRecords(AuditError):
    """Two versions of different records cannot be compared."""

    code = "different_records"

    def __init__(self, *, older: str, newer: str) -> None:
        super().__init__(f"{older} and {newer} are not versions of one record. Compare versions of the same record.")


class PlanHasFailures(AuditError):
    """A plan with failures was given to be written."""

    code = "plan_has_failures"

    def __init__(self, *, failures: int) -> None:
        super().__init__(
            f"The plan has {failures} failures and was not written. Take the failed changes out and plan again."
        )


class NothingToCorrect(AuditError):
    """A correction whose values are the record's present ones."""

    code = "nothing_to_correct"

    def __init__(self, *, label: str) -> None:
        super().__init__(f"The {label} already has these values, so nothing was written. Give the values to change.")


class NotIndexable(AuditError):
    """A model's `indexed` names a field that it does not have, or a parent without a mirror."""

    code = "not_indexable"

    def __init__(self, *, label: str, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"{label} cannot be indexed by {name!r}: it is no field of it, or not a foreign key to a mirrored model. "
            f"Its fields are: {', '.join(known)}."
        )


class RecordUnknown(AuditError):
    """No version of such a record is in the mirror."""

    code = "record_unknown"

    def __init__(self, *, label: str, device: str, key: object, era: str | None) -> None:
        where = "" if era is None else f" in era {era}"
        super().__init__(
            f"Device '{device}' never delivered a {label} with key {key}{where}. Look for it with the record index."
        )


class NotFinalized(AuditError):
    """The record is still on its device, which would deliver it again."""

    code = "not_finalized"

    def __init__(self, *, label: str, device: str, key: object) -> None:
        super().__init__(
            f"The {label} with key {key} of device '{device}' is not finalized, so only its device may change it. "
            "Have the device finalize it (`finalize`), or preserve the records of a lost device with `force_finalize`; "
            "then erase it."
        )


class EraReused(AuditError):
    """Several finalized records of the device had the key, one after the other."""

    code = "era_reused"

    def __init__(self, *, label: str, key: object, eras: Iterable[str]) -> None:
        super().__init__(f"Several records {label} had the key {key}. Name the era of one: {', '.join(eras)}.")
