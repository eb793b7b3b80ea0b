"""The sealed envelope: its bytes, its chain of hashes, the keys, certificates and receipts."""
