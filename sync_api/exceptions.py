"""What synchronization can refuse, each with a stable code and the next step.

The class takes facts and builds the sentence; `code` is what REST answers with.
"""

from __future__ import annotations


class SyncError(Exception):
    """Base of all errors of `sync_api`. The text is for people and ends with the remedy."""

    code = "sync_error"
