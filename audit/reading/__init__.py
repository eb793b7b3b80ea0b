"""Reading the past: differences, snapshots, the data dictionary, and until when each device is known."""

from audit.reading.diff import FieldChange, RecordChange, diff
from audit.reading.known import known_until

__all__ = ["FieldChange", "RecordChange", "diff", "known_until"]
