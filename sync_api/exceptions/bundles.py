"""What bundles can be refused for."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class BundleDamaged(SyncError):
    """A file that is no bundle, or not as its exporter wrote it."""

    code = "bundle_damaged"

    def __init__(self, *, what: str) -> None:
        super().__init__(
            f"This file is not a whole bundle: {what}. Nothing of it was stored. Copy the file again from where it was "
            "made; if it comes back refused, export again."
        )


class BundleUntrusted(SyncError):
    """The exporter is not one whose bundles count here."""

    code = "bundle_untrusted"

    def __init__(self, *, exporter: str, what: str) -> None:
        super().__init__(
            f"The bundle is from '{exporter}', which is not trusted here: {what} Nothing of it was stored. If the "
            "exporter is enrolled with another server, run `trust_server` for that server here and import again."
        )


class BundleUnreadable(SyncError):
    """The file is not there, is not an ordinary file, or cannot be read."""

    code = "bundle_unreadable"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(f"The file '{name}' cannot be read: {what}. Nothing of it was stored. Check the stick.")


class BundleNotWritten(SyncError):
    """The folder could not take the bundle."""

    code = "bundle_not_written"

    def __init__(self, *, folder: str, what: str) -> None:
        super().__init__(
            f"The bundle could not be written to '{folder}': {what}. No half file is left there, and everything still "
            "waits here. Make room or use another stick, then run the command again."
        )


class PieceTooSmall(SyncError):
    """One batch does not fit into a piece."""

    code = "piece_too_small"

    def __init__(self, *, device: str, number: int, size: int, size_max: int) -> None:
        super().__init__(
            f"Batch {number} of device '{device}' needs a piece of {size} bytes, and a piece may have {size_max}. "
            "Nothing was written. Give a larger --piece-size."
        )


class BundleIncomplete(SyncError):
    """Some batches of a whole bundle were refused; the others were stored."""

    code = "bundle_incomplete"

    def __init__(self, *, name: str, stored: int, refused: list[str]) -> None:
        listed = " ".join(refused[:3]) + (" ..." if len(refused) > 3 else "")
        super().__init__(f"Of '{name}', {stored} batches were stored and {len(refused)} were not. {listed}")


class ConfirmationUnknown(SyncError):
    """No exported bundle has this confirmation code."""

    code = "confirmation_unknown"

    def __init__(self, *, code: str) -> None:
        super().__init__(
            f"No bundle that was exported here is confirmed by '{code[:60]}'. Have the importer read the code again; "
            "each piece of a bundle has its own."
        )


class SameDisk(SyncError):
    """A folder is on the disk that it should secure."""

    code = "same_disk"

    def __init__(self, *, folder: str) -> None:
        super().__init__(
            f"'{folder}' is on the same disk as this device's data, so a copy there would be lost with it. Nothing was "
            "written. Put the stick in, or add --same-disk if this is meant."
        )


class RestoreRefused(SyncError):
    """The copy cannot become this device's again."""

    code = "restore_refused"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The copy cannot be restored to device '{device}': {what} Nothing was restored. Import the copy on the "
            "server instead: `import_bundle FILE`."
        )
