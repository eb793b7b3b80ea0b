"""After a wipe: what was captured of sealed models leaves the device's log, and the database file.

Sealed batches stay until the durable mark covers them, and show nothing to who has no key. The log's rows, from which
they were made, hold the same values in the open: they are emptied once the server has them.
"""

from __future__ import annotations

from django.db import connections
from django.db.models import Q, QuerySet

from sync_api.models import Finalization, LocalDevice, OutgoingTransaction
from sync_api.recipients.choosing import names_for, sealed_models
from sync_api.transactions import immediate
from sync_api.wire.marks import MARK_LABEL, Mark, read_mark


def forget_sealed_payloads(alias: str, device: LocalDevice | str, until_id: int) -> int:
    """Empty the sealed models' transactions of `device` up to `until_id`: no payload, key, reason; how many there were.

    Only what is in a sealed batch is emptied. Opens its own transaction, or joins the caller's; again, it finds
    nothing. On SQLite the bytes themselves are gone only after `scrub_database`. SealedModelsInvalid.
    """
    name = device if isinstance(device, str) else device.name
    with immediate(alias):
        rows = OutgoingTransaction.objects.using(alias).filter(
            device=name, id__lte=until_id, batch_number__isnull=False, payload__isnull=False
        )
        chosen = sealed_models()
        present = rows.order_by().values_list("tx_name", flat=True).distinct() if chosen else []
        labels = [label for label in present if names_for(label, chosen)]
        marks = sealed_marks(rows, chosen) if MARK_LABEL in present else []
        forget_chosen_keys(alias, name, chosen)
        return rows.filter(Q(tx_name__in=labels) | Q(pk__in=marks)).update(
            payload=None, previous_pk=None, reason=None, tx_pk=""
        )


def sealed_marks(rows: QuerySet[OutgoingTransaction], chosen: dict[str, tuple[str, ...]]) -> list[int]:
    """Ids of the marks that name keys of sealed models."""
    marks = rows.filter(tx_name=MARK_LABEL).values_list("pk", "payload")
    return [pk for pk, payload in marks if is_sealed_mark(read_mark(payload), chosen)]


def forget_chosen_keys(alias: str, device: str, chosen: dict[str, tuple[str, ...]]) -> None:
    """Which records were moved off stays in the sealed mark alone. Call inside a transaction."""
    ended = Finalization.objects.using(alias).filter(
        device__name=device, is_partial=True, state=Finalization.State.WIPED
    )
    for one in ended:
        for label in one.manifest["models"]:
            if names_for(label, chosen):
                one.manifest["models"][label]["keys"] = []
        one.save(using=alias, update_fields=["manifest"])


def is_sealed_mark(mark: Mark, chosen: dict[str, tuple[str, ...]]) -> bool:
    return mark.is_partial and any(names_for(label, chosen) for label in mark.models)


def scrub_database(alias: str) -> bool:
    """Take out of the database file what was deleted or emptied in it; whether there was anything to do.

    SQLite keeps the bytes of removed rows in its free pages and in the WAL: the file is written anew and the WAL
    emptied. PostgreSQL's rows are dead once no transaction sees them, and `VACUUM FULL` by an operator takes them out.
    Call outside a transaction. It needs as much free disk as the database is large, and may be run again.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchone()[0]
        cursor.execute("PRAGMA secure_delete=OFF")
    return not busy
