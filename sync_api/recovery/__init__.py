"""After a clone or a restore: what a device no longer has, compared with what this server holds of it."""

from sync_api.recovery.differences import Differences, device_differences

__all__ = ["Differences", "device_differences"]
