"""Where this laptop's records are, and whether the laptop may be handed over."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q, Sum

from sync_api.capture.verify import baseline_missing, capture_problems
from sync_api.client.waiting import unsealed_transactions
from sync_api.conf import alias_settings
from sync_api.files.standing import own_files
from sync_api.models import Alarm, LocalDevice, OutgoingBatch

HELD, APPLIED, REFUSED = "held", "applied", "refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of recorded changes by the farthest place that confirmed them; each change is in one of them."""

    device: str
    server: str
    waiting: int
    carried: int
    held: int
    applied: int
    refused: int
    files: int = 0
    """Photos and other files of what is sealed whose bytes the server does not hold yet."""

    @property
    def only_here(self) -> int:
        return self.waiting + self.refused


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the laptop is safe to hand over, why, and what to do next."""

    is_safe: bool
    reason: str
    next_step: str


def laptop_alias() -> str:
    """The database that the page speaks of: `SYNC_LAPTOP_DATABASE`, else the first of role client or relay."""
    named = getattr(settings, "SYNC_LAPTOP_DATABASE", "")
    if named:
        return str(named)
    own = (alias for alias in settings.DATABASES if alias_settings(alias).role in ("client", "relay"))
    return next(own, DEFAULT_DB_ALIAS)


def own_device(alias: str) -> LocalDevice | None:
    return LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()


def standing_of(alias: str, device: LocalDevice) -> Standing:
    """Counts from the sealed batches, what is not sealed yet, and files: four statements, however much there is."""
    present = Q(epoch=device.epoch)
    held = Q(receipts__has_key=HELD) | (present & Q(number__lte=device.acknowledged_number))
    applied = Q(receipts__has_key=APPLIED) | (present & Q(number__lte=device.applied_number))
    if device.applied_number:
        applied |= held & ~present  # a server applies a device's epochs in their order
    refused = Q(receipts__has_key=REFUSED) & ~held
    batches = OutgoingBatch.objects.using(alias).filter(device=device)
    sums = batches.aggregate(
        all=Sum("lines", default=0),
        unsent=Sum("lines", filter=Q(receipts={}) & ~held & ~applied, default=0),
        refused=Sum("lines", filter=refused, default=0),
        held=Sum("lines", filter=held & ~applied, default=0),
        applied=Sum("lines", filter=applied, default=0),
    )
    carried = sums["all"] - sums["unsent"] - sums["refused"] - sums["held"] - sums["applied"]
    return Standing(
        device=device.name,
        server=device.server_name,
        waiting=sums["unsent"] + unsealed_transactions(alias, device.name),
        carried=carried,
        held=sums["held"],
        applied=sums["applied"],
        refused=sums["refused"],
        files=own_files(alias, device).waiting,
    )


def safe_to_hand_over(alias: str, standing: Standing, *, is_sending: bool) -> Answer:
    """The answer with its reason. Safe means: a server's signed receipt covers every change made here."""
    if problems := capture_problems(alias):
        return Answer(
            False,
            f"Part of what is typed in may not be recorded ({len(problems)} parts of the recording are missing).",
            "Stop typing in records and call for help.",
        )
    if missing := baseline_missing(alias):
        return Answer(
            False,
            f"Records from before this laptop was connected are not recorded yet ({len(missing)} kinds of record).",
            "Call for help: the laptop needs one more step, called baseline.",
        )
    if is_doubled(alias, standing.device):
        return Answer(
            False,
            "The server knows another copy of this laptop: it was copied, or set back to an older state.",
            "Stop typing in records and call for help. Nothing is lost.",
        )
    if not standing.server:
        return Answer(
            False,
            "This laptop is not connected to a server yet. What is typed in exists only here.",
            "Call for help to have the laptop enrolled.",
        )
    if is_sending:
        return Answer(False, "Sending is not finished.", "Wait until it is done. Leave the laptop switched on.")
    return _by_counts(standing)


def is_doubled(alias: str, device: str) -> bool:
    """A receipt spoke of batches that were not made here, and nobody has looked into it yet."""
    alarms = Alarm.objects.using(alias).filter(device__name=device, code="receipt_differs", resolved_at=None)
    return alarms.exists()


def _by_counts(standing: Standing) -> Answer:
    if standing.refused:
        return Answer(
            False,
            f"{records(standing.refused)} from an earlier time of this laptop were refused by the server. "
            "They exist only here.",
            "Keep the laptop and call for help.",
        )
    if standing.waiting:
        exist = "exists" if standing.waiting == 1 else "exist"
        return Answer(False, f"{records(standing.waiting)} {exist} only on this laptop.", "Press “Send now”.")
    if standing.carried:
        return Answer(
            False,
            f"{records(standing.carried)} went with a middleman, and the server has not confirmed them yet.",
            "Keep the laptop until the server has confirmed them. With a network, press “Send now”.",
        )
    if standing.files:
        return Answer(
            False,
            f"The server holds the records, and {files(standing.files)} of theirs only this laptop.",
            "Press “Send now” where the network is good enough for photos.",
        )
    if not standing.held and not standing.applied:
        return Answer(True, "Nothing has been recorded on this laptop yet.", "Nothing more is needed.")
    return Answer(
        True,
        f"The server {standing.server} holds everything that was saved on this laptop.",
        "Nothing more is needed. Handing over is not wiping: do not delete anything.",
    )


def records(number: int) -> str:
    """The number with its noun."""
    return f"{number:,} record" if number == 1 else f"{number:,} records"


def files(number: int) -> str:
    """The same of photos and other files."""
    return f"{number:,} file" if number == 1 else f"{number:,} files"
