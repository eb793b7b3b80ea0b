"""Devices, sources, commits and what each commit changed; the record index."""

from audit.models.commits import CommitClock, Source, TableChanges
from audit.models.devices import Device
from audit.models.index import IndexEntry

__all__ = ["CommitClock", "Device", "IndexEntry", "Source", "TableChanges"]
