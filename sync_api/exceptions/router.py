"""What the router's way refuses."""

from __future__ import annotations

from sync_api.exceptions.base import SyncError


class NotAServer(SyncError):
    """Only a server applies transactions."""

    code = "not_a_server"

    def __init__(self, *, device: str, role: str | None) -> None:
        super().__init__(
            f"'{device}' has the role {role or 'none'} and may not apply transactions. Give a device with the role "
            "server, or set the database's role in SYNC_DATABASES."
        )


class SameDatabaseAlias(SyncError):
    """Copying needs two databases."""

    code = "same_database"

    def __init__(self, *, alias: str) -> None:
        super().__init__(f"The transactions are in database '{alias}' already. Name the server's database alias.")


class OwnHostRefused(SyncError):
    """What was made on this host is not to be applied on it."""

    code = "own_host"

    def __init__(self, *, producer: str, host: str) -> None:
        super().__init__(
            f"The transactions of '{producer}' were made on this host ({host}). Give check_hostname=False to apply "
            "them all the same."
        )


class FilterSplitsUnit(SyncError):
    """A filter takes some changes of a database transaction and leaves others."""

    code = "filter_splits_unit"

    def __init__(self, *, tx_name: str, tx_pk: str) -> None:
        super().__init__(
            f"The filter leaves out {tx_name} {tx_pk}, which was changed in one database transaction with others that "
            "it takes. Take all of them: filter by nothing but what is not consumed yet."
        )


class FilterSkipsEarlier(SyncError):
    """A filter takes a change and leaves an earlier one."""

    code = "filter_skips_earlier"

    def __init__(self, *, tx_name: str, tx_pk: str) -> None:
        super().__init__(
            f"The filter leaves out {tx_name} {tx_pk}, which was changed before others that it takes. Take it too: "
            "filter by nothing but what is not consumed yet."
        )


class FilterSplitsBatch(SyncError):
    """A filter ends inside a batch, which is the unit of transfer."""

    code = "filter_splits_batch"

    def __init__(self, *, number: int | None, left: int) -> None:
        which = "the batch that would be sealed now" if number is None else f"batch {number}"
        super().__init__(
            f"The filter leaves {left} transactions of {which} behind. Take them too: filter by nothing but what is "
            "not consumed yet."
        )


class RouterTargetMissing(SyncError):
    """No database to copy to is named."""

    code = "router_target_missing"

    def __init__(self, *, alias: str, target: str) -> None:
        what = f"'{target}' is not in DATABASES" if target else f"none is named for '{alias}'"
        super().__init__(
            f"There is no database to copy to: {what}. Give --to ALIAS, or set copy_to in SYNC_DATABASES, or "
            "SERVER_DATABASE_URL."
        )
