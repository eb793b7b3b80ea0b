"""A device's road to its home server while it finalizes: everything there, and the server's statements back."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from sync_api.client.exchange import get_statements
from sync_api.client.http import Server
from sync_api.client.push import enrolled_device, push, read_token
from sync_api.trust import take_statements


def carrier(
    alias: str, *, allow_http: bool = False, transport: httpx.BaseTransport | None = None
) -> Callable[[], None]:
    """A function that pushes what waits and takes the home server's statements. Raises as `push` does."""

    def carry() -> None:
        push(alias, allow_http=allow_http, transport=transport)
        device = enrolled_device(alias)
        token = read_token(device)
        with Server(device.server_url, token=token, allow_http=allow_http, transport=transport) as server:
            take_statements(alias, get_statements(server), via=f"{device.server_name}, REST")

    return carry
