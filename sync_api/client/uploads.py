"""Upload a device's tables from Python, without a log: in one step, or step by step.

    with UploadClient("https://study.example", user="ada", password=..., device="tablet-1") as client:
        client.one_step({"visit": [{"id": 1, "note": "well"}]})

Every request carries an idempotency key and is sent again when its answer is lost; a request that was done already
changes nothing. Errors: ServerRefused with the problem's code, ServerUnreachable, NotTheServer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from sync_api.client.http import JSON, Server

KEY_HEADER = "Idempotency-Key"


class UploadClient:
    """A connection for one user and one registered device. Use as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        user: str,
        password: str,
        device: str,
        app_version: str = "",
        allow_http: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = Server(url, allow_http=allow_http, transport=transport, sleep=sleep)
        self.server.client.auth = httpx.BasicAuth(user, password)
        self.about = {"device": device, "app_version": app_version}

    def __enter__(self) -> UploadClient:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def register(self, *, friendly_name: str = "", group: str = "") -> dict[str, Any]:
        """Register this device for a group of the user's, or meet it again; what the server says about itself."""
        told = {"friendly_name": friendly_name, "group": group}
        return self.post("devices", self.about | {name: text for name, text in told.items() if text})

    def one_step(self, tables: Mapping[str, Any], *, preserving: bool = False, key: str = "") -> dict[str, Any]:
        """Upload all tables at once, committed as a whole; a table that is left out counts as empty.

        `tables` maps names to rows: objects by column name, or {"fields": [...], "rows": [[...], ...]}. After an error
        that left it open whether the upload was done, call it again with the same `key`.
        """
        body = {**self.about, "preserving": preserving, "tables": tables}
        return self.post("uploads/one-step", body, key=key)

    def start(self, *, preserving: bool = False) -> OpenUpload:
        """Open an upload, to be filled step by step; what this device has open is rolled back."""
        begun = self.post("uploads", self.about)
        upload = OpenUpload(self, str(begun["upload"]))
        if preserving:
            upload.preserve()
        return upload

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> dict[str, Any]:
        self.server.client.headers[KEY_HEADER] = key or uuid.uuid4().hex
        return self.server.post(path, orjson.dumps(body or {}, default=tagged), JSON).body


class OpenUpload:
    """An upload that is open. Nothing of it is to be seen on the server until `commit`.

    Left by an exception, it is rolled back: `with client.start() as upload: ...; upload.commit()`.
    """

    def __init__(self, client: UploadClient, upload: str) -> None:
        self.client = client
        self.upload = upload
        self.is_open = True

    def __enter__(self) -> OpenUpload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.is_open:
            self.roll_back()

    def preserve(self) -> None:
        """With this upload, everything of the device is finalized."""
        self.post("preservation")

    def empty_tables(self, tables: Sequence[str]) -> None:
        """These tables hold nothing."""
        self.post("empty-tables", {"tables": list(tables)})

    def table(self, table: str, rows: Any) -> None:
        """All rows of a table."""
        self.post(f"tables/{quote(table)}", {"rows": rows})

    def record(self, table: str, row: Mapping[str, Any]) -> None:
        """One row of a table."""
        self.post(f"tables/{quote(table)}/record", {"row": row})

    def keys(self, table: str, keys: Sequence[Any]) -> None:
        """The table holds these keys and no others."""
        self.post(f"tables/{quote(table)}/keys", {"keys": list(keys)})

    def wanted(
        self, table: str, keys: Sequence[Any], modified: Sequence[Any], *, moved: Sequence[Any] | None = None
    ) -> list[Any]:
        """Of a table's keys, with the times at which the records were modified: those whose records to send."""
        body = {"keys": list(keys), "modified": list(modified), "moved": moved}
        return list(self.post(f"tables/{quote(table)}/wanted", body)["keys"])

    def commit(self) -> dict[str, Any]:
        """Commit it as a whole; what was counted, by table."""
        answer = self.post("commit")
        self.is_open = False
        return answer

    def roll_back(self) -> None:
        """Give it up."""
        self.post("rollback")
        self.is_open = False

    def post(self, step: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self.client.post(f"uploads/{self.upload}/{step}", body)


def tagged(value: Any) -> Any:
    """Binary values as the server takes them."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"A {type(value).__name__} has no form in JSON.")
