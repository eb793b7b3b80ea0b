"""The seed's tables, for state-based uploads."""
