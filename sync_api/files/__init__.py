"""Files: bytes known by their SHA-256, kept once, and brought where the records are."""
