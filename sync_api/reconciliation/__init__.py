"""Driver and researcher reconcile before leaving: the laptop's signed list of a day's records, and what came here."""

from sync_api.reconciliation.comparing import Comparison, compare
from sync_api.reconciliation.inspecting import InspectReport, inspect
from sync_api.reconciliation.manifest import Manifest, check_manifest, make_manifest

__all__ = ["Comparison", "InspectReport", "Manifest", "check_manifest", "compare", "inspect", "make_manifest"]
