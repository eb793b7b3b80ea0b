"""The device's side of the road: enrolling, and sending sealed batches. The only place that knows HTTP."""

from sync_api.client.enrol import EnrolReport, enrol
from sync_api.client.push import PushReport, push

__all__ = ["EnrolReport", "PushReport", "enrol", "push"]
