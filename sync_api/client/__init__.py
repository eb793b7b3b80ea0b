"""The device's side of the road: enrolling, and sending sealed batches. The only place that knows HTTP."""

from sync_api.client.enrol import EnrolReport, enrol
from sync_api.client.push import PushReport, PushRun, push, push_to_targets

__all__ = ["EnrolReport", "PushReport", "PushRun", "enrol", "push", "push_to_targets"]
