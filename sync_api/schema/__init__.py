"""What a synced model looks like on the wire: its columns, their kinds, and what they refer to."""

from sync_api.schema.describe import (
    ModelSchema,
    describe,
    fingerprint_of,
    references_of,
    synced_models,
)
from sync_api.schema.kinds import kind_of

__all__ = ["ModelSchema", "describe", "fingerprint_of", "kind_of", "references_of", "synced_models"]
