"""What an erasure does to files: what only the erased versions named is forgotten, and its bytes go."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import transaction

from audit.erasure import Erased
from audit.mirror.tables import MirrorTable
from audit.models import Device
from sync_api.files.cleaning import remove_unnamed
from sync_api.files.fields import file_fields, in_parts, name_digest
from sync_api.models import FileFact


def forget_files(alias: str, device: Device, erased: Erased) -> None:
    """What `audit.erasure.on_erased` calls: the files of all versions that are emptied."""
    for table, pks in erased:
        erase_contents(alias, table, pks)


def erase_contents(alias: str, table: MirrorTable, pks: Collection[int]) -> int:
    """Forget the files that only these versions of a mirror name; how many facts.

    Call inside the erasing transaction, while the versions still hold the files' names. The bytes that nothing names
    any more are removed when it commits (after a kill in between, by `clean_files`); a content that another version,
    record or device names stays. Again it changes nothing.
    """
    forgotten = 0
    hashes: set[str] = set()
    for field in file_fields().get(table.label, {}):
        for device, names in names_by_device(alias, table, field, pks).items():
            only_here = names - named_elsewhere(alias, table, field, device, names, pks)
            told = FileFact.objects.using(alias).filter(label=table.label, field=field, device=device)
            for digests in in_parts(map(name_digest, only_here)):
                facts = told.filter(name_digest__in=digests)
                hashes.update(facts.values_list("sha256", flat=True))
                forgotten += facts.delete()[0]
    hashes.discard("")
    if hashes:
        transaction.on_commit(lambda: remove_unnamed(alias, hashes), using=alias)
    return forgotten


def names_by_device(alias: str, table: MirrorTable, field: str, pks: Collection[int]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    versions: Any = table.mirror.objects.using(alias)
    for part in in_parts(map(str, pks)):
        rows = versions.filter(pk__in=part).exclude(**{field: None}).exclude(**{field: ""})
        for device, name in rows.values_list("mirror_device__name", field):
            found.setdefault(device, set()).add(name)
    return found


def named_elsewhere(
    alias: str, table: MirrorTable, field: str, device: str, names: set[str], pks: Collection[int]
) -> set[str]:
    """Those of these names that another version of the device still has."""
    versions: Any = table.mirror.objects.using(alias).filter(mirror_device__name=device)
    erased = set(pks)
    found: set[str] = set()
    for part in in_parts(names):
        rows = versions.filter(**{f"{field}__in": part}).values_list("pk", field)
        found.update(name for pk, name in rows if pk not in erased)
    return found
