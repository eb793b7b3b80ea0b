"""What a middleman refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class RelayFull(SyncError):
    """The middleman has no room for another batch."""

    code = "relay_full"

    def __init__(self, *, size: int, size_max: int) -> None:
        super().__init__(
            f"This middleman carries {size} bytes for others and may carry {size_max}. Nothing was taken; the device "
            "keeps its batches. Run `relay_transactions` and `purge_transport` here, or raise SYNC_CARRIED_BYTES_MAX."
        )


class NotARelay(SyncError):
    """Only a middleman or a server takes or hands on others' batches."""

    code = "not_a_relay"

    def __init__(self, *, device: str, role: str | None) -> None:
        super().__init__(
            f"'{device}' has the role {role or 'none'} and takes no batches of others. Send them to a server or a "
            "middleman, or set SYNC_ROLE=relay where this installation is one."
        )


class VisitorRefused(SyncError):
    """Only a middleman or a server may fetch what waits on a device."""

    code = "visitor_refused"

    def __init__(self, *, visitor: str, role: str) -> None:
        super().__init__(
            f"'{visitor}' has the role {role} and may not fetch batches here. Only a middleman or a server may; "
            "enrol it with `add_device --role relay`."
        )


class BatchNotHere(SyncError):
    """A visitor asks for a batch that this device does not have."""

    code = "batch_not_here"

    def __init__(self, *, device: str, number: int) -> None:
        super().__init__(f"Batch {number} of device '{device}' is not stored here. Ask for the list again.")


class PeerNotTrusted(SyncError):
    """The installation at an address does not show that it is the one it says."""

    code = "peer_not_trusted"

    def __init__(self, *, url: str, what: str) -> None:
        super().__init__(
            f"The installation at {url} is not trusted here: {what}. Check the address; if it is right, pin its "
            "server's key with `trust_server`."
        )


class HandingOnUnfinished(SyncError):
    """Some carried batches were refused or could not be sent; the others were handed on."""

    code = "handing_on_unfinished"

    def __init__(self, *, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))
