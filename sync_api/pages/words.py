"""What went wrong, in words for the person at the laptop: what happened, and what to do.

Each begins with what matters to that person. The error's own sentence, which names commands and settings, is shown
below for whoever is called.
"""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """`can_retry`: pressing the button again may help, without a call."""

    what: str
    to_do: str
    can_retry: bool = False


SAFE = "Your records are safe on this laptop."
CALL = "Please call the person named below."
CALL_AND_READ = "Please call the person named below and read out the text under “For the person you call”."

TROUBLES: dict[str, Trouble] = {
    "server_unreachable": Trouble(
        f"The server did not answer. {SAFE}",
        "Check that the laptop has a network, then send again. What was sent already does not have to go again.",
        True,
    ),
    "not_the_server": Trouble(
        f"The network answered in place of the server: it may want you to log in first. {SAFE}",
        "Open any web page in the browser and log in to the network, then send again.",
        True,
    ),
    "server_busy": Trouble(f"The server is busy. {SAFE}", "Wait a few minutes, then send again.", True),
    "throttled": Trouble(f"The server is busy. {SAFE}", "Wait a few minutes, then send again.", True),
    "sending_interrupted": Trouble(
        f"Sending was interrupted, perhaps because the laptop was switched off. {SAFE}",
        "Send again: it goes on where it stopped.",
        True,
    ),
    "not_enrolled": Trouble(f"This laptop is not connected to a server yet. {SAFE}", CALL),
    "no_local_device": Trouble("This laptop is not set up yet.", CALL),
    "baseline_missing": Trouble(f"The laptop needs one more step before it can send. {SAFE}", CALL_AND_READ),
    "capture_broken": Trouble(
        "Part of the recording is missing, so changes may be lost. Stop typing in records.", CALL_AND_READ
    ),
    "batch_fork": Trouble(
        f"The server knows another copy of this laptop: it was copied, or set back to an older state. {SAFE}",
        CALL_AND_READ,
    ),
    "device_revoked": Trouble(f"The server does not take records from this laptop any more. {SAFE}", CALL_AND_READ),
    "token_unknown": Trouble(f"The server does not know this laptop any more. {SAFE}", CALL_AND_READ),
    "receipt_invalid": Trouble(
        f"The answer did not come from the server that this laptop trusts. {SAFE}", CALL_AND_READ
    ),
}
UNKNOWN = Trouble(f"Sending stopped. {SAFE}", CALL_AND_READ)


def trouble_of(code: str) -> Trouble:
    return TROUBLES.get(code, UNKNOWN)
