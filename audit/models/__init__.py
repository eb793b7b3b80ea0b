"""Devices, sources, commits and what each commit changed."""

from audit.models.commits import CommitClock, Source, TableChanges
from audit.models.devices import Device

__all__ = ["CommitClock", "Device", "Source", "TableChanges"]
