"""Sealing: committed units become numbered, chained, signed batches."""

from sync_api.sealing.seal import SealReport, seal, seal_next

__all__ = ["SealReport", "seal", "seal_next"]
