"""Transactions that write: see `audit.transactions`."""

from audit.transactions import immediate

__all__ = ["immediate"]
