"""Standing searches whose findings are sent to other systems. Knows no HTTP: the client comes from outside."""
