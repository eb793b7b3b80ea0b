"""Fetches the recipients' keys from the server that this device is enrolled with."""

from __future__ import annotations

import httpx

from sync_api.client.http import Server
from sync_api.client.push import enrolled_device, read_token
from sync_api.recipients.lists import TakenList, take_list


def refresh_recipients(
    alias: str, *, allow_http: bool = False, transport: httpx.BaseTransport | None = None
) -> TakenList:
    """Take the server's signed list of recipients. Opens its own transaction at the end, none while it waits.

    NotEnrolled, ServerUnreachable, ServerRefused, RecipientsUnproven.
    """
    device = enrolled_device(alias)
    with Server(device.server_url, token=read_token(device), allow_http=allow_http, transport=transport) as server:
        answer = server.get("recipients")
    return take_list(alias, answer.body, server=device.server_name, server_key=device.server_key)
