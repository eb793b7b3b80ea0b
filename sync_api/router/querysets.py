"""The seed's two doors, on the querysets of the transaction tables.

The models stand on this module, and every station stands on the models: the doors' code is therefore fetched by
its name when a door is opened, so that no station comes to stand on another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from audit.models import Device
    from sync_api.router.copying import CopyReport
    from sync_api.router.deserializing import TransactionMessage


class OutgoingTransactionQuerySet(models.QuerySet[Any]):
    """Captured transactions of one database."""

    def copy_to_incoming_transaction(self, alias: str) -> CopyReport:
        """Seal these transactions and hand them to database `alias`, as a push would, without a network.

        The device is registered there first if need be. Transactions that are there already are skipped. Opens its
        own transactions, one per batch; cut anywhere, it can be run again. FilterSplitsUnit, FilterSkipsEarlier,
        FilterSplitsBatch when the filter leaves out what must travel with, or before, what it takes.
        """
        report: CopyReport = import_string("sync_api.router.copying.copy")(self, alias)
        return report


class IncomingTransactionQuerySet(models.QuerySet[Any]):
    """Received transactions of one database."""

    def deserialize(
        self, custom_device: Device | str | None = None, check_hostname: bool = True
    ) -> list[TransactionMessage]:
        """Apply these transactions to the mirror of their database; one message for each, in order of effect.

        `custom_device` is who applies them: a Device, its name, or None for the database's own; NotAServer unless
        its role is server. With `check_hostname`, what was made on this very host is refused (OwnHostRefused).
        Opens its own transactions, one per batch. FilterSplitsUnit, FilterSkipsEarlier as above. Parked
        transactions among them are tried again; a message's `success` and `error` tell what became of each.
        """
        deserialize = import_string("sync_api.router.deserializing.deserialize")
        messages: list[TransactionMessage] = deserialize(self, custom_device, check_hostname=check_hostname)
        return messages
