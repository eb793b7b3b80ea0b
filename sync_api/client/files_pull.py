"""On a middleman: fetches the bytes of a laptop's files, from where an earlier fetch was cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from sync_api.client.files import FilesReport, Road, refusal
from sync_api.client.http import AGAIN, Server
from sync_api.client.visit import Visited
from sync_api.conf import limit
from sync_api.exceptions import ContentMismatch, FilesDiskFull, NotTheServer, ServerRefused
from sync_api.files.places import parts_folder, room_errors
from sync_api.files.store import ContentStore
from sync_api.files.uploads import check_all_room
from sync_api.models import FileFact
from sync_api.wire.header import HEX64


def pull_files(alias: str, laptop: Visited) -> FilesReport:
    """Fetch what the laptop lists, whose records are carried here, and whose bytes are not here yet; smallest first of
    each page. Raises ServerUnreachable, NotTheServer, FilesDiskFull."""
    report = FilesReport()
    store = ContentStore(alias)
    for page in waiting_pages(laptop):
        facts = FileFact.objects.using(alias).filter(device=laptop.peer.name, sha256__in=page)
        sizes = dict(facts.values_list("sha256", "size"))
        for sha256 in sorted(store.lacking(sizes.keys()), key=lambda one: (sizes[one], one)):
            try:
                fetch(alias, laptop, sha256, sizes[sha256])
                report.files += 1
                report.bytes += sizes[sha256]
            except FilesDiskFull:
                raise
            except (ServerRefused, ContentMismatch) as error:
                report.problems.append(f"Content {sha256[:12]}: {error}")
    return report


def waiting_pages(laptop: Visited) -> Iterator[list[str]]:
    """The hashes of the laptop's list, page by page. A laptop whose program is older has none."""
    after: int | None = 0
    while after is not None:
        try:
            body = laptop.get(f"files/outgoing?after={after}").body
        except ServerRefused as error:
            if error.code == "not_found":
                return
            raise
        page, following = body.get("files"), body.get("next")
        is_end = following is None or (type(following) is int and following > after)
        if not isinstance(page, list) or not is_end or not all(map(is_listed, page)):
            raise NotTheServer(url=laptop.url, status=200)
        yield [one["sha256"] for one in page]
        after = following


def is_listed(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("sha256"), str) and bool(HEX64.fullmatch(value["sha256"]))


def fetch(alias: str, laptop: Server, sha256: str, size: int) -> None:
    """Fetch one content into a part file, and keep it when it is whole. ContentMismatch: the part is gone."""
    check_all_room(alias, size)
    part = parts_folder(alias) / f"{sha256}.pull"
    road = Road(laptop.sleep, laptop.url)
    while (have := part.stat().st_size if part.exists() else 0) < size or not part.exists():
        try:
            fetch_from(laptop, sha256, part, have, size)
        except httpx.TransportError:
            if part.exists() and part.stat().st_size > have:
                road.failures = 0
            road.fail("the connection broke")
    try:
        ContentStore(alias).take_part(part, sha256=sha256, size=size)
    finally:
        part.unlink(missing_ok=True)


def fetch_from(laptop: Server, sha256: str, part: Path, have: int, size: int) -> None:
    """One request for the bytes from `have` on; what comes before a cut stays in the part."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    with laptop.client.stream("GET", laptop.address(f"files/outgoing/{sha256}"), headers=headers) as response:
        if response.status_code in AGAIN:
            raise httpx.ReadError(f"status {response.status_code}")
        if response.status_code not in (200, 206):
            response.read()
            raise refusal(response)
        with room_errors(), part.open("r+b" if part.exists() else "xb") as file:
            file.seek(have if response.status_code == 206 else 0)
            file.truncate()
            for chunk in response.iter_bytes(int(limit("SYNC_FILE_CHUNK_BYTES"))):
                file.write(chunk)
                if file.tell() > size:
                    raise ContentMismatch(what=f"they are more than {size} bytes")
