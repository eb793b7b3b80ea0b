"""What capture refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class UnsupportedField(SyncError):
    """A column's values have no loss-free form in a payload."""

    code = "unsupported_field"

    def __init__(self, *, model: str, field: str, type_name: str) -> None:
        super().__init__(
            f"{model}.{field} is a {type_name}, which cannot be captured without loss. "
            "Use one of Django's own column types for it, or keep it in a model that is not synced."
        )


class NaturalKeyMissing(SyncError):
    """A synced model without natural_key(), or its manager without get_by_natural_key()."""

    code = "natural_key_missing"

    def __init__(self, *, model: str, missing: str) -> None:
        super().__init__(
            f"{model} is synced but has no {missing}. Write `def natural_key(self): return (...,)` on the model "
            "and `def get_by_natural_key(self, ...): return self.get(...)` on its default manager."
        )


class ReasonRequired(SyncError):
    """The model's policy asks for a reason and none was given."""

    code = "reason_required"

    def __init__(self, *, model: str) -> None:
        super().__init__(
            f'A change of {model} needs a reason. Give one: `with sync_context(reason="...")`, '
            "or the form's reason field."
        )


class UnitUnclear(SyncError):
    """A write that bypasses Django's cursor, outside a transaction."""

    code = "unit_unclear"

    def __init__(self) -> None:
        super().__init__(
            "A write went past Django's cursor outside a transaction, so its unit is not known. "
            "Nothing was written. Use connection.cursor(), or open transaction.atomic() first."
        )


class UnitTooLarge(SyncError):
    """One database transaction changes more rows than one batch may carry."""

    code = "unit_too_large"

    def __init__(self, *, rows: int, rows_max: int, setting: str = "SYNC_UNIT_LINES_MAX", record: str = "") -> None:
        which = f" (it begins with {record})" if record else ""
        what = "bytes" if "BYTES" in setting else "rows"
        super().__init__(
            f"One database transaction{which} changes {rows} rows or more; at most {rows_max} {what} travel as one "
            "unit. "
            f"Split the work into several atomic() blocks, or raise {setting} here and on the server."
        )


class TruncateRefused(SyncError):
    """TRUNCATE fires no row trigger, so its deletes would not be recorded."""

    code = "truncate_refused"

    def __init__(self, *, table: str) -> None:
        super().__init__(
            f"TRUNCATE of the synced table {table} would delete rows unrecorded. Nothing was deleted. "
            "Delete the rows with DELETE or QuerySet.delete()."
        )


class FlushRefused(SyncError):
    """`flush` empties synced tables, and the log that should record it, without a trace."""

    code = "flush_refused"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"flush would empty the synced tables of the database '{alias}' and the log of their changes. "
            "Nothing was deleted. Delete rows with QuerySet.delete(), which is recorded, or remove the whole "
            "database and enrol anew."
        )


class CaptureBroken(SyncError):
    """Triggers are missing or stale."""

    code = "capture_broken"

    def __init__(self, *, alias: str, problems: list[str]) -> None:
        listed = "; ".join(problems[:5]) + ("; ..." if len(problems) > 5 else "")
        super().__init__(
            f"Capture is not whole in the database '{alias}': {listed}. Nothing was sent. "
            f"Run `manage.py migrate --database {alias}` (it installs the triggers), then "
            f"`manage.py reconcile_capture --database {alias}`, and push again."
        )


class BaselineMissing(SyncError):
    """Rows from before capture have not been recorded yet."""

    code = "baseline_missing"

    def __init__(self, *, alias: str, models: list[str]) -> None:
        super().__init__(
            f"Rows of {', '.join(models)} were there before capture and are not recorded yet. Nothing was sent. "
            f"Run `manage.py baseline --database {alias}` once, then push again."
        )
