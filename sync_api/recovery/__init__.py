"""After a clone or a restore: what a device no longer has, compared with what this server holds of it."""

from sync_api.recovery.differences import Differences, device_differences
from sync_api.recovery.preserving import preserve_missing

__all__ = ["Differences", "device_differences", "preserve_missing"]
