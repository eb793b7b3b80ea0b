"""The base of all errors of `sync_api`."""

from __future__ import annotations


class SyncError(Exception):
    """Base of all errors of `sync_api`. The text is for people and ends with the remedy."""

    code = "sync_error"
