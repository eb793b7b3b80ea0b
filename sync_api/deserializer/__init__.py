"""From IncomingTransaction to the mirror: per device in order, unit by unit in meaning, set by set in execution."""

from sync_api.deserializer.claim import Bound
from sync_api.deserializer.consume import consume, find_device, pending_count
from sync_api.deserializer.report import ConsumeReport, DeviceReport
from sync_api.deserializer.retry import accept_baseline, ignore, open_units, retry_parked
from sync_api.deserializer.trial import try_out

__all__ = [
    "Bound",
    "ConsumeReport",
    "DeviceReport",
    "accept_baseline",
    "consume",
    "find_device",
    "ignore",
    "open_units",
    "pending_count",
    "retry_parked",
    "try_out",
]
