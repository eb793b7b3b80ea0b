"""Capture: every change of a synced table becomes an OutgoingTransaction, written by the table's own trigger."""

from sync_api.capture.context import not_captured, sync_context

__all__ = ["not_captured", "sync_context"]
