"""An example observatory: cameras that watch the sky, in the terms of MeteorPi."""
