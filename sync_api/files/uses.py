"""Which rows keep a content that no fact and no stored name speaks of: its reference count is their number.

`user` is the part of the program, `key` its row; a row needs one content.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from sync_api.files.cleaning import remove_unnamed
from sync_api.files.fields import in_parts
from sync_api.models import Content, ContentUse


def use(alias: str, *, user: str, key: str, sha256: str) -> None:
    """From now on this row needs this content, and what it needed before no more. Again it changes nothing.

    Call inside the transaction that writes the row, and that keeps the content or found it by `is_held`. Bytes that
    nothing names any more are removed when it commits.
    """
    uses = ContentUse.objects.using(alias)
    end(alias, uses.filter(user=user, key=key).exclude(sha256=sha256))
    uses.bulk_create([ContentUse(user=user, key=key, sha256=sha256)], ignore_conflicts=True)


def release(alias: str, *, user: str, keys: Iterable[str]) -> None:
    """These rows go, and need their contents no more. Call inside the transaction that removes them.

    Bytes that nothing names any more are removed when it commits; after a kill in between, by `clean_files`.
    """
    for part in in_parts(keys):
        end(alias, ContentUse.objects.using(alias).filter(user=user, key__in=part))


def release_all(alias: str, *, user: str) -> None:
    """As `release`, for every row of this part of the program."""
    end(alias, ContentUse.objects.using(alias).filter(user=user))


def is_held(alias: str, sha256: str) -> bool:
    """Whether the bytes are in the store, and stay until this transaction ends: a clean-up waits for it."""
    return Content.objects.using(alias).select_for_update().filter(pk=sha256).exclude(held_at=None).exists()


def end(alias: str, uses: QuerySet[ContentUse]) -> None:
    hashes = set(uses.values_list("sha256", flat=True))
    if hashes:
        uses.delete()
        transaction.on_commit(partial(remove_unnamed, alias, hashes), using=alias)
