"""The wires of the seeds: thin adapters, each at an address of its own."""
