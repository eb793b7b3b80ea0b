"""The versioning engine: load what is current, plan, write. Knows no HTTP and no transactions of devices."""

from audit.engine.changes import Change, Failure, Key, Stamp
from audit.engine.current import Current, Existing, carry_over, load_current, lock_device
from audit.engine.planning import Plan, plan
from audit.engine.preserve import preserve_device
from audit.engine.writing import write

__all__ = [
    "Change",
    "Current",
    "Existing",
    "Failure",
    "Key",
    "Plan",
    "Stamp",
    "carry_over",
    "load_current",
    "lock_device",
    "plan",
    "preserve_device",
    "write",
]
