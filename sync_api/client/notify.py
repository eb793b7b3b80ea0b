"""An example of a receiver that is a gateway: it tells a webhook of each entity, and otherwise leaves it to another.

The webhook is told before the entity is complete, so that what could not be told is sent again later by the exporter.
"""

from __future__ import annotations

import httpx
from django.conf import settings

from sync_api.client.http import trust
from sync_api.conf import limit
from sync_api.exports.targets import checked_target
from sync_api.files.store import Kept
from sync_api.imports.receivers import Answer, BaseImportReceiver, DeclaredFile, ImportRequest

NOTIFIED = ("event", "file", "tombstone", "record")


class WebhookReceiver(BaseImportReceiver):
    """Posts `{"type", "id", "user"}` to `url` for every entity that `inner` (or, without it, nobody) keeps.

    The address must be named in SYNC_EXPORT_TARGETS. Values of the entity are not sent.
    """

    def __init__(
        self,
        url: str | None = None,
        inner: BaseImportReceiver | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = checked_target(url or str(getattr(settings, "SYNC_IMPORT_WEBHOOK", "")))
        self.inner = inner or BaseImportReceiver()
        self.transport = transport

    def receive(self, request: ImportRequest) -> Answer:
        answer = self.inner.receive(request)
        if answer.state == "complete" and request.entity_type in NOTIFIED and not self.is_told(request):
            return request.response_failed("The webhook could not be told.")
        return answer

    def receive_file_data(self, alias: str, user: str, declared: DeclaredFile, kept: Kept) -> None:
        self.inner.receive_file_data(alias, user, declared, kept)

    def is_told(self, request: ImportRequest) -> bool:
        facts = {"type": request.entity_type, "id": request.entity_id, "user": request.user}
        timeout = float(limit("SYNC_CONNECT_SECONDS"))
        scheme = self.url.partition(":")[0]
        try:
            with (
                httpx.Client(
                    timeout=timeout,
                    transport=self.transport,
                    follow_redirects=False,
                    verify=trust(scheme),
                    trust_env=False,
                ) as client,
                client.stream("POST", self.url, json=facts) as response,
            ):
                return response.is_success
        except httpx.TransportError:
            return False
