"""What certificates, pins, statements and receipts can be refused for."""

from __future__ import annotations

from collections.abc import Sequence

from sync_api.exceptions.base import SyncError


class CertificateInvalid(SyncError):
    """A certificate is not signed by the server it names, or says something else than expected."""

    code = "certificate_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"The certificate is not valid: {what}. Enrol the device again with a new code.")


class IssuerUnknown(CertificateInvalid):
    """The certificate's issuer is no server that is trusted here."""

    code = "issuer_unknown"

    def __init__(self, *, device: str, issuer: str) -> None:
        SyncError.__init__(
            self,
            f"The certificate of '{device}' was issued by '{issuer}', a server that is not trusted here. If it should "
            f"be, run `trust_server {issuer} --key KEY` here with the key that its operator reads out.",
        )


class CertificateRevoked(CertificateInvalid):
    """The certificate's key was revoked."""

    code = "certificate_revoked"

    def __init__(self, *, device: str) -> None:
        SyncError.__init__(
            self,
            f"The certificate of '{device}' has been revoked. Ask the operator of the server that it enrolled with; "
            "nothing is lost on the device.",
        )


class DeviceNameTaken(SyncError):
    """A device of another server has the name of one that is known here."""

    code = "device_name_taken"

    def __init__(self, *, device: str, issuer: str) -> None:
        super().__init__(
            f"A device '{device}' that enrolled elsewhere is known here already, and this one was enrolled by "
            f"'{issuer}'. Nothing was stored. If it is the same device, run `add_device {device}` here and `enrol` "
            "there; else give one of them another name.",
        )


class VisitRefused(SyncError):
    """A visitor that could not show that it has its certificate's key."""

    code = "visit_refused"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The visit of '{device}' was refused: {what}. Ask for a new nonce (GET /api/v1/server) and sign that one "
            "with the name that this answer gives."
        )


class VisitElsewhere(VisitRefused):
    """The visitor dialled an address that is not this installation's: somebody stands in the middle, or a proxy."""

    def __init__(self, *, device: str, dialled: str, addresses: Sequence[str]) -> None:
        SyncError.__init__(
            self,
            f"The visit of '{device}' was refused: it was made out to the address '{dialled}', and this installation "
            f"was reached as '{', '.join(addresses)}'. If both are this installation's, because a proxy stands "
            "before it, let the proxy pass the Host header on, or name its addresses in SYNC_ADDRESSES. Else "
            f"somebody answers at '{dialled}' in its place: tell the operator.",
        )


class TooManyVisits(SyncError):
    """One key asks for passes faster than anybody needs them."""

    code = "too_many_visits"

    def __init__(self, *, device: str, seconds: int) -> None:
        super().__init__(
            f"'{device}' has asked for too many passes in {seconds} seconds. Use the pass of the last visit, or wait "
            f"{seconds} seconds and visit again."
        )


class PinDiffers(SyncError):
    """Another key is pinned under that name already."""

    code = "pin_differs"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"Another key is pinned for '{name}' already. Nothing was changed. Ask its operator by telephone whether "
            "its key changed; if so, run it again with --replace."
        )


class PinUnknown(SyncError):
    """No key is pinned under that name."""

    code = "pin_unknown"

    def __init__(self, *, name: str) -> None:
        super().__init__(
            f"No key is pinned for '{name}' here. `trust_server` without a name lists them. The server that this "
            "installation enrolled with is trusted by that enrolment: enrol elsewhere to change it."
        )


class PinInvalid(SyncError):
    """Not a name and key that can be pinned."""

    code = "pin_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(f"This cannot be pinned: {what}. The other server's `trust_server` prints its name and key.")


class BackupUnclear(SyncError):
    """It is not clear what a backup holds."""

    code = "backup_unclear"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"Nothing was marked as durable: {what}. Give --backup with the SQLite file itself, or with a label and "
            "--at with the moment at which the verified backup began, as 2026-01-31T18:00+01:00."
        )


class TooManyStatements(SyncError):
    """Not a list of statements, or a longer one than one request may have."""

    code = "too_many_statements"

    def __init__(self, *, statements_max: int) -> None:
        super().__init__(
            f'The body must be {{"statements": [...]}} with {statements_max} statements at most. Nothing was taken. '
            "Send them in several requests."
        )


class StatementInvalid(SyncError):
    """A statement that is not believed; `code` says why."""

    def __init__(self, *, code: str, what: str) -> None:
        self.code = code
        super().__init__(f"A statement was not believed: {what}. It was left out; nothing else is affected.")


class ReceiptInvalid(SyncError):
    """A receipt is not signed by the pinned server, or speaks of another batch."""

    code = "receipt_invalid"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"The server's receipt is not valid: {what}. Nothing was marked as delivered. "
            "Check the server's address; if the server was set up anew, enrol this device again."
        )


class KeyFolderUnusable(SyncError):
    """The folder of the keys cannot be read or written."""

    code = "key_folder_unusable"

    def __init__(self, *, folder: str, what: str) -> None:
        super().__init__(
            f"The folder of the keys, {folder}, cannot be used: {what}. Let the user that runs this program own it "
            "(and nobody else read it), or set SYNC_KEY_DIR to another folder and move the keys there."
        )


class KeyMissing(SyncError):
    """The device has no key yet."""

    code = "key_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"Device '{device}' has no key on this machine. "
            "Run `enrol --server URL --code CODE` with a code from `add_device` on the server."
        )
