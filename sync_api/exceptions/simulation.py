"""What the simulator refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class SimulatorMissing(SyncError):
    """The simulator's own package is not installed."""

    code = "simulator_missing"

    def __init__(self, *, missing: str) -> None:
        super().__init__(
            f"The simulator needs {missing}, which is not installed. "
            "Install it with `pip install 'syncserver[simulate]'`."
        )
