"""The record index: finds current records by what people know them by. Kept at commit, rebuilt by `reindex`."""

from audit.index.finding import find
from audit.index.keeping import Touched, update_index
from audit.index.rebuilding import Difference, check_index, reindex
from audit.index.registry import Indexed, register, unregister

__all__ = [
    "Difference",
    "Indexed",
    "Touched",
    "check_index",
    "find",
    "register",
    "reindex",
    "unregister",
    "update_index",
]
