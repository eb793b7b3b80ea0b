"""What erasing refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class ErasureReasonMissing(SyncError):
    """An erasure without a justification."""

    code = "erasure_reason_missing"

    def __init__(self, *, label: str) -> None:
        super().__init__(
            f"Erasing a {label} needs a justification, which is kept. Nothing was erased. Give --reason 'who asked for "
            "it, and why'."
        )


class ModelUnknown(SyncError):
    """No installed model has this name."""

    code = "model_not_found"

    def __init__(self, *, label: str) -> None:
        super().__init__(f"There is no model {label!r} here. Write it as app_label.Model, as in study.Visit.")
