"""On a middleman: fetches the manifest of the laptop that is visited."""

from __future__ import annotations

from datetime import date

import httpx

from sync_api.client.visit import visiting
from sync_api.conf import limit
from sync_api.reconciliation.manifest import MANIFEST_TYPE, Manifest, check_manifest


def fetch_manifest(
    alias: str,
    url: str,
    *,
    day: date | None = None,
    allow_http: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> Manifest:
    """The checked manifest of the laptop at `url`; without a day, of today by the laptop's clock.

    Raises what `visiting` and `check_manifest` raise.
    """
    path = "manifest" if day is None else f"manifest?day={day.isoformat()}"
    with visiting(alias, url, allow_http=allow_http, transport=transport) as laptop:
        content = laptop.fetch(path, MANIFEST_TYPE, size_max=int(limit("SYNC_MANIFEST_BYTES_MAX")))
    return check_manifest(alias, content)
