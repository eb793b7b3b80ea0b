"""What reconciling refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class ReconcileModelsInvalid(SyncError):
    """SYNC_RECONCILE_MODELS names what cannot be reconciled."""

    code = "reconcile_models_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"SYNC_RECONCILE_MODELS is not right: {what}. Write labels of synced models: study.specimen.")


class DayInvalid(SyncError):
    """Not a day."""

    code = "day_invalid"

    def __init__(self, *, day: str) -> None:
        super().__init__(f"'{day[:20]}' is not a day. Write it as 2026-05-04.")


class ManifestTooLarge(SyncError):
    """More records of one day than a manifest holds."""

    code = "manifest_too_large"

    def __init__(self, *, records_max: int) -> None:
        super().__init__(
            f"More than {records_max} records changed on that day. Name the models that matter in "
            "SYNC_RECONCILE_MODELS, or raise SYNC_RECONCILE_RECORDS_MAX."
        )


class ManifestInvalid(SyncError):
    """A manifest that is damaged, changed, or none."""

    code = "manifest_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This is not a laptop's manifest, or not a whole one: {what}. Make it again on the laptop with "
            "`reconcile_manifest --output FILE`."
        )


class ManifestOfAnother(SyncError):
    """The manifest is of another device or day than was asked for."""

    code = "manifest_of_another"

    def __init__(self, *, found: str, asked: str) -> None:
        super().__init__(f"The manifest is of {found}, and {asked} was asked for. Choose the right file.")


class NotInspecting(SyncError):
    """This process does not feed what it carries into a mirror."""

    code = "not_inspecting"

    def __init__(self, *, role: str | None) -> None:
        super().__init__(
            f"Only a relay with SYNC_INSPECT=true applies what it carries to its own mirror (the role here is "
            f"{role or 'none'}). Set both for this process."
        )
