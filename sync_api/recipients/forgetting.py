"""After a wipe: what was captured of sealed models leaves the device's log, and the database file.

Sealed batches stay until the durable mark covers them, and show nothing to who has no key. The log's rows, from which
they were made, hold the same values in the open: they are emptied once the server has them.
"""

from __future__ import annotations

from django.db import connections

from sync_api.models import LocalDevice, OutgoingTransaction
from sync_api.recipients.choosing import names_for, sealed_models
from sync_api.transactions import immediate


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
        return rows.filter(tx_name__in=labels).update(payload=None, previous_pk=None, reason=None, tx_pk="")


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
