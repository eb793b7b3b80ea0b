"""The researcher's own page on the laptop: what waits, whether it is safe to hand over, and a button to send."""
