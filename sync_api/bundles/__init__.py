"""Bundles: the road of files. The same batches and statements as on every road, in one checked file on a stick."""
