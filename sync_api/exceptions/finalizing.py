"""What finalizing refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class FinalizeInsideTransaction(SyncError):
    """A mark must be committed by itself."""

    code = "finalize_inside_transaction"

    def __init__(self) -> None:
        super().__init__("A device is finalized outside of any transaction. Nothing was marked. Leave atomic() first.")


class FinalizationOpen(SyncError):
    """An earlier finalization is not ended."""

    code = "finalization_open"

    def __init__(self, *, device: str) -> None:
        super().__init__(
            f"A finalization of '{device}' is under way. Nothing new was marked. Go on with `finalize --resume`, or "
            "give it up with `finalize --abandon`: then everything stays on the device."
        )


class FinalizationMissing(SyncError):
    """There is none to go on with."""

    code = "finalization_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"No finalization of '{device}' is under way. Begin one with `finalize`.")


class NothingToFinalize(SyncError):
    """No synced record is here."""

    code = "nothing_to_finalize"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"'{device}' holds no records that are synced: there is nothing to finalize.")


class TablesBusy(SyncError):
    """Writers did not leave the synced tables in time."""

    code = "tables_busy"

    def __init__(self, *, alias: str) -> None:
        super().__init__(
            f"Other programs keep writing to the synced tables of the database '{alias}'. Nothing was changed. "
            "Close them, or raise SYNC_FINALIZE_LOCK_SECONDS, and run `finalize` again."
        )


class RecordNameInvalid(SyncError):
    """A record named by an operator is not here."""

    code = "record_name_invalid"

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(
            f"'{name[:120]}' chooses no record: {what}. Nothing was marked. Name records as app.Model:key, "
            "with the primary key as the admin's address shows it."
        )


class RecordsReferredTo(SyncError):
    """Records that are to leave are referred to by others that stay."""

    code = "records_referred_to"

    def __init__(self, *, count: int, listed: list[str]) -> None:
        more = f", and {count - len(listed)} more" if count > len(listed) else ""
        super().__init__(
            f"Other records still refer to those that are to leave: {'; '.join(listed)}{more}. Nothing was marked. "
            "Name these as well, or leave out what they refer to."
        )


class FinalizationWaits(SyncError):
    """The server has not yet preserved what was marked."""

    code = "finalization_waits"

    def __init__(self, *, device: str, server: str, why: str) -> None:
        super().__init__(
            f"'{server}' has not preserved the records of '{device}' yet: {why}. Nothing was removed here. "
            "Run `finalize --resume` later."
        )


class PreservationUnproven(SyncError):
    """No receipt of the pinned server proves that the marked records are preserved."""

    code = "preservation_unproven"

    def __init__(self, *, device: str, what: str) -> None:
        super().__init__(
            f"The records of '{device}' are not proven to be preserved: {what}. Nothing was removed here. Run "
            "`finalize --resume` to fetch the server's receipt, or `finalize --abandon` to keep everything."
        )


class ForceReasonMissing(SyncError):
    """A device's records are preserved without its word only for a reason."""

    code = "force_reason_missing"

    def __init__(self, *, device: str) -> None:
        super().__init__(f"Preserving the records of '{device}' without its word needs a reason: --reason 'lost'.")


class WipeRefused(SyncError):
    """The database would not let the marked rows go."""

    code = "wipe_refused"

    def __init__(self, *, label: str) -> None:
        super().__init__(
            f"The rows of {label} could not all be removed: something changed or refers to them. Nothing was removed. "
            "Run `finalize --resume`; if it happens again, look for triggers or tables that Django does not know."
        )


class NotTheHomeServer(SyncError):
    """The router's way leads to another server than the device is enrolled with."""

    code = "not_the_home_server"

    def __init__(self, *, device: str, home: str, server: str) -> None:
        super().__init__(
            f"Device '{device}' is enrolled with '{home}', and this copies to '{server}'. Nothing was copied. Copy to "
            f"'{home}', or add '{server}' with `push_targets`."
        )
