"""The seed's two doors, on the querysets of the transaction tables."""

from __future__ import annotations

from typing import Any

from django.db import models


class OutgoingTransactionQuerySet(models.QuerySet[Any]):
    """`copy_to_incoming_transaction(alias)`."""


class IncomingTransactionQuerySet(models.QuerySet[Any]):
    """`deserialize(custom_device=None, check_hostname=True)`."""
