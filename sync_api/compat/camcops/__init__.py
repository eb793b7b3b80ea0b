"""The seed's upload protocol at `/compat/camcops/`: form fields in, `key:value` lines out.

Written from the seed's description alone; `docs/reference/camcops-wire.md` says what every field means here. What an
upload does is `sync_api.uploads`; this package only reads and writes the wire.
"""
