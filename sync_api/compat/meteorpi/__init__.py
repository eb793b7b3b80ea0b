"""MeteorPi's own wire, at `/compat/meteorpi/import`. Source: the seed's importer_api; `docs/reference/exports.md`."""
