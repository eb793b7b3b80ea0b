"""The inbox: stores each batch exactly once, and applies none."""

from sync_api.inbox.accept import Accepted, accept

__all__ = ["Accepted", "accept"]
