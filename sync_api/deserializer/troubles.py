"""What can keep a unit from being applied: stable code, text and next step. Texts never hold a field's value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

UNITS_LISTED_MAX = 20

DEPLOY = "Deploy the study's version that has it (and run migrate), then consume again."
DECIDE = "Correct the record on the device or the server, then `parked retry`, or `parked ignore` with a reason."

NEXT_STEPS: dict[str, str] = {
    "unknown_model": DEPLOY,
    "unknown_field": DEPLOY,
    "wrong_value": "Correct the record on the device and ignore this unit with a reason, or widen the server's field "
    "and retry.",
    "client_too_old": "Upgrade the study on the device; lower min_client_version or ignore with a reason to go on.",
    "key_in_use": DECIDE,
    "record_missing": DECIDE,
    "baseline_differs": "Compare both versions. `parked accept` with a reason takes the device's as the next version; "
    "`parked ignore` keeps the server's.",
    "refused_by_database": "Read the database's word, correct the cause on the server, then retry.",
    "unsupported_action": "Upgrade the server, then consume again.",
    "payload_sealed": "Give this installation a key that it is sealed to (restore its key folder), then consume again; "
    "or read it where there is one. To go on without it, ignore this unit with a reason.",
    "payload_unreadable": "Put the device's software in order, ignore this unit with a reason, and save the record on "
    "the device again.",
    "era_has_parked": "Settle the units it names (`parked show`); the mark then follows by itself.",
    "epoch_ended": "Read it (`parked show`). Where the device lacks it, enter it there again, or `correct` the record "
    "here; then `parked ignore` with a reason. What was received stays.",
    "failed": "Tell the developers code and record; after the next version is installed, `parked retry`.",
    "era_differs": "Run reconcile_capture on the device, `finalize --abandon`, push, and finalize again; nothing is "
    "removed there before.",
    "behind_parked": "Settle the unit it waits for; this one then follows by itself.",
}


class Trouble(NamedTuple):
    """Why a unit cannot be applied. `field` is empty where no single field is to blame."""

    code: str
    text: str
    field: str = ""

    @property
    def next_step(self) -> str:
        return NEXT_STEPS[self.code]


def unknown_model(label: str) -> Trouble:
    return Trouble("unknown_model", f"This server has no synced model {label}.")


def unknown_field(label: str, field: str) -> Trouble:
    return Trouble("unknown_field", f"This server's {label} has no field {field}.", field)


def other_kind(label: str, field: str, kind: str) -> Trouble:
    return Trouble(
        "wrong_value",
        f"The device keeps {label}.{field} as {kind}, which this server's field cannot hold.",
        field,
    )


def wrong_value(label: str, key: str, field: str) -> Trouble:
    return Trouble("wrong_value", f"The value of {field} in {label} {key} does not fit this server's field.", field)


def wrong_payload(label: str, key: str) -> Trouble:
    return Trouble("wrong_value", f"The values of {label} {key} are not those that its description announces.")


def unsupported_action(label: str, key: str, action: str) -> Trouble:
    return Trouble("unsupported_action", f"This server does not know the action {action} of {label} {key}.")


def client_too_old(label: str, app_version: str, wanted: str) -> Trouble:
    return Trouble(
        "client_too_old",
        f"{label} is accepted from version {wanted} of the study; the device runs {app_version}.",
    )


def refused_by_database(label: str, key: str, kind: str) -> Trouble:
    """`kind` is the class of the database's error: its own text may hold values."""
    return Trouble("refused_by_database", f"The database refuses the unit of {label} {key} ({kind}).")


def behind_parked(label: str, key: str) -> Trouble:
    return Trouble("behind_parked", f"Waits behind the parked {label} {key}.")


def era_has_parked(units: Sequence[int]) -> Trouble:
    """`units` are the ids of the parked units that come before the mark."""
    listed = ", ".join(map(str, units[:UNITS_LISTED_MAX])) + (", ..." if len(units) > UNITS_LISTED_MAX else "")
    return Trouble("era_has_parked", f"Records cannot be preserved before the parked units {listed} are settled.")


def era_differs(phrases: Sequence[str]) -> Trouble:
    """`phrases` name models and counts, never values."""
    listed = ", ".join(phrases[:UNITS_LISTED_MAX]) + (", ..." if len(phrases) > UNITS_LISTED_MAX else "")
    return Trouble("era_differs", f"Nothing was preserved: the device's mark and what is here differ in {listed}.")


def payload_sealed(label: str) -> Trouble:
    return Trouble("payload_sealed", f"A record of {label} is sealed to recipients whose keys are not here.")


def payload_unreadable(label: str) -> Trouble:
    return Trouble("payload_unreadable", f"A record of {label} is sealed to this installation and does not open.")


def epoch_ended(label: str, key: str) -> Trouble:
    return Trouble(
        "epoch_ended",
        f"This change of {label} {key} came when its device had been restored and had begun a later epoch without it.",
    )


def failed_model(label: str, kind: str) -> Trouble:
    return Trouble("failed", f"Records of {label} cannot be worked on: the program failed ({kind}).")


def failed(label: str, key: str, kind: str) -> Trouble:
    """`kind` is the class of the error: its own text may hold values."""
    return Trouble("failed", f"The unit of {label} {key} cannot be worked on: the program failed ({kind}).")


SEALED = frozenset({"payload_sealed", "payload_unreadable"})
"""Nobody here can say which record it is: every later change of its model waits, so that no record goes back."""
