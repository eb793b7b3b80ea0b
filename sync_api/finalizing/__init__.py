"""Finalize and wipe: a device marks its records, the server preserves them, and only then they leave the device."""
