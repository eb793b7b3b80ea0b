"""Erasing finalized records: the server's mirror and inbox, and a signed order for everybody who has the bytes.

`orders` reads the orders that are known here and carries them out; `erase` gives one. (This package's start imports
neither: `sync_api.trust` uses the first, the second uses `sync_api.trust`.)
"""
