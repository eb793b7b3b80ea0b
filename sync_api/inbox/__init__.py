"""The inbox: stores each batch exactly once, in its place in the device's chain, and applies none."""

from sync_api.inbox.accept import Accepted, accept
from sync_api.inbox.heads import head_receipt, receipt_for

__all__ = ["Accepted", "accept", "head_receipt", "receipt_for"]
