"""What a laptop is told when it speaks with a server."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class NotEnrolled(SyncError):
    """The device knows no server."""

    code = "not_enrolled"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' is not enrolled with a server. "
            "Run `enrol --server URL --code CODE` with a code from `add_device` on the server."
        )


class PushTargetUnknown(SyncError):
    """No push target of that name."""

    code = "push_target_unknown"

    def __init__(self, *, name: str, known: list[str]) -> None:
        listed = ", ".join(known) or "none"
        super().__init__(f"This device has no push target '{name}' (there are: {listed}). See `push_targets list`.")


class PushTargetExists(SyncError):
    """That name is taken."""

    code = "push_target_exists"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"There is a push target '{name}' already. To change its address, `push_targets remove {name}` first; the "
            "home server's address changes with `enrol`."
        )


class HomeTargetFixed(SyncError):
    """The home server is not removed like another target."""

    code = "home_target_fixed"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"'{name}' is the server this device is enrolled with, so it stays a push target. To change it, run "
            "`enrol --server URL --code CODE` with a code from the other server."
        )


class TargetDiffers(SyncError):
    """Another installation answers at a target's address."""

    code = "target_differs"

    def __init__(self, *, name: str, found: str, url: str) -> None:
        super().__init__(
            f"At {url} answers '{found}', not '{name}'. Nothing was sent there. Correct the address: "
            f"`push_targets remove {name}` and `push_targets add`."
        )


class PlainHttpRefused(SyncError):
    """A server's address without TLS that is not on this machine."""

    code = "plain_http_refused"

    def __init__(self, *, url: str) -> None:
        super().__init__(
            f"{url} is not encrypted. Use https://, or add --allow-http if the road is protected in another way."
        )


class AddressInvalid(SyncError):
    """Not a web address."""

    code = "address_invalid"

    def __init__(self, *, url: str) -> None:
        super().__init__(f"'{url}' is not a server's address. Write it as https://sync.example.org.")


class ServerUnreachable(SyncError):
    """No answer after all attempts."""

    code = "server_unreachable"

    def __init__(self, *, url: str, what: str, attempts: int) -> None:
        super().__init__(
            f"{url} did not answer ({what}) in {attempts} attempts. Nothing is lost: it goes on from here with the "
            "next `push_transactions`."
        )


class NotTheServer(SyncError):
    """Something else answered: a captive portal, a proxy, another web site."""

    code = "not_the_server"

    def __init__(self, *, url: str, status: int) -> None:
        super().__init__(
            f"Something other than the sync server answered at {url} (status {status}): perhaps the network's "
            "login page, or a wrong address. Open a web page in a browser to log in, or check the address."
        )


class BatchGone(SyncError):
    """The server asks for a batch that is no longer stored here."""

    code = "batch_gone"

    def __init__(self, *, device: str, number: int) -> None:
        super().__init__(
            f"The server asks for batch {number} of device '{device}', which is no longer stored here. "
            "Run `enrol` again with a new code: that begins a new epoch, and a baseline tells everything anew."
        )


class ServerRefused(SyncError):
    """The server's problem+json answer; `code` is the server's."""

    code = "server_refused"

    def __init__(self, *, status: int, code: str, detail: str) -> None:
        self.code = code
        self.status = status
        super().__init__(detail)


class MissingReason(SyncError):
    """Preserving what a device lacks needs a reason."""

    code = "missing_reason"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Say why the records that '{device}' no longer has are preserved: --reason \"...\". It is kept with them."
        )


class NotABaseline(SyncError):
    """Only a baseline that differs can be accepted."""

    code = "not_a_baseline"

    def __init__(self, *, unit_id: int, code: str) -> None:
        super().__init__(
            f"Unit {unit_id} is parked for another cause ({code}) than a baseline that differs, so there is nothing to "
            f"accept. See `parked show {unit_id}` for its next step."
        )


class ConsumeStopped(SyncError):
    """The database stopped consuming for some devices; what was committed before stays."""

    code = "consume_stopped"

    def __init__(self, *, errors: list[str]) -> None:
        super().__init__(" ".join(errors))
