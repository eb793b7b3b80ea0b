"""What the log may show of an error: never a field's value."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError


def without_values(error: Exception) -> Any:
    """What the log may show of an error. A database's own text can quote a row, so only its kind and place stay."""
    if isinstance(error, DatabaseError):
        return type(error), type(error)("its text may hold values"), error.__traceback__
    return error
