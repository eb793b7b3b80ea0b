"""The middleman: carries other devices' sealed batches, the same bytes, and the statements about them."""

from sync_api.relay.carry import Carried, carry

__all__ = ["Carried", "carry"]
