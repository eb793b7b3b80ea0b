"""Settings of the installations that tests start: the project's own, without waiting between attempts."""

from syncserver.settings import *  # noqa: F403
from syncserver.settings import env

SYNC_ATTEMPTS_MAX = env.int("TEST_ATTEMPTS_MAX", default=2)
SYNC_BACKOFF_SECONDS = 0.05
SYNC_BACKOFF_SECONDS_MAX = 0.1
if batch_lines := env.int("TEST_BATCH_LINES", default=0):
    SYNC_BATCH_LINES = batch_lines
if read_seconds := env.float("TEST_READ_SECONDS", default=0.0):
    SYNC_READ_SECONDS = read_seconds
