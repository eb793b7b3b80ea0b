"""What a server found about a device's marks, as its `applied` receipts tell it."""

from __future__ import annotations

from typing import Any

from sync_api.models import IncomingEpoch, IncomingEra

MARKS_TOLD_MAX = 5
TEXT_LENGTH_MAX = 500


def preserved_facts(alias: str, epoch: IncomingEpoch) -> list[dict[str, Any]]:
    """The outcomes of the epoch's last marks, oldest first: what the `preserved` member of a receipt holds.

    Each is {"mark", "ok", "era", "count", "sha256", "code", "text"}: with `ok`, `count` records with this hash (over
    counts and hashes of every model, see sync_api.wire.marks.digest_of) are preserved under `era`; without, `code`
    and `text` say what is in the way. Reads only.
    """
    rows = IncomingEra.objects.using(alias).filter(epoch=epoch).exclude(preserved=None).order_by("ordinal")
    told = [one for preserved in rows.values_list("preserved", flat=True) for one in preserved or [] if one["mark"]]
    told.sort(key=lambda one: one["at"])
    return [
        {
            **{name: one[name] for name in ("mark", "ok", "era", "count", "sha256", "code")},
            "text": one["text"][:TEXT_LENGTH_MAX],
        }
        for one in told[-MARKS_TOLD_MAX:]
    ]
