"""The versioning engine: load what is current, plan, write. Knows no HTTP and no transactions of devices."""

from audit.engine.changes import Change, Failure, Key, Stamp
from audit.engine.current import Current, Existing, carry_over, load_current, lock_device
from audit.engine.planning import Plan, plan
from audit.engine.preserve import preserve_device
from audit.engine.states import Committed, TableState, commit_states, plan_states
from audit.engine.writing import write

__all__ = [
    "Change",
    "Committed",
    "Current",
    "Existing",
    "Failure",
    "Key",
    "Plan",
    "Stamp",
    "TableState",
    "carry_over",
    "commit_states",
    "load_current",
    "lock_device",
    "plan",
    "plan_states",
    "preserve_device",
    "write",
]
