"""State-based uploads: a client without a log sends its tables, and they are committed as a whole or not at all."""
