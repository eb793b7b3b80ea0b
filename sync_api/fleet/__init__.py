"""The state of every device, from the heartbeats that each contact carries: told by the device, signed by it."""

from sync_api.fleet.facts import heartbeat_facts
from sync_api.fleet.overview import fleet_status
from sync_api.fleet.receiving import take_heartbeat
from sync_api.fleet.sending import Heartbeat, keep_own_heartbeat

__all__ = ["Heartbeat", "fleet_status", "heartbeat_facts", "keep_own_heartbeat", "take_heartbeat"]
