"""A field day in a minute: a server and two laptops, as separate processes on this machine."""
