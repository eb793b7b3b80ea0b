"""The frames of MeteorPi's wire: which entity a request is about, and how an answer is written."""

from __future__ import annotations

from typing import Any

import orjson

from sync_api.exceptions import ImportRefused
from sync_api.imports.receivers import NEEDS_DEPENDENCY, NEEDS_FILE, Answer, ImportRequest

KINDS = ("event", "file", "status", "tombstone")
RECORDS_MAX = 1_000
RECORD_ID_LENGTH_MAX = 255


def decoded(content: bytes) -> dict[str, Any]:
    """The body as a JSON object. JSON, not YAML: 1e-07 is a number. ImportRefused."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise ImportRefused("The body is not JSON.") from None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise ImportRefused("The body is not an object with a type.")
    return body


def cached_id(body: dict[str, Any]) -> str | None:
    """The id of an entity that was sent before; None when the body is an entity itself."""
    return hexadecimal(body.get("cached_entity_id"), "cached_entity_id") if body["type"] == "cached_entity" else None


def entities(alias: str, user: str, body: dict[str, Any]) -> list[ImportRequest]:
    """The entity that was sent, or the records of one request. ImportRefused."""
    kind = body["type"]
    if kind == "records":
        return records(alias, user, body)
    entity = body.get(kind)
    if kind not in KINDS or not isinstance(entity, dict):
        raise ImportRefused(f"The type is one of {', '.join(KINDS)}, cached_entity and records, with its entity.")
    entity_id = hexadecimal(entity.get(f"{kind}_id"), f"{kind}_id")
    if kind == "tombstone" and entity.get("entity_type") not in KINDS[:3]:
        raise ImportRefused("A tombstone has an entity_type.")
    check_files(entity)
    return [ImportRequest(alias, user, kind, entity_id, {**entity, f"{kind}_id": entity_id})]


def records(alias: str, user: str, body: dict[str, Any]) -> list[ImportRequest]:
    sent = body.get("records")
    if not isinstance(sent, list) or len(sent) > RECORDS_MAX:
        raise ImportRefused(f"records is a list of at most {RECORDS_MAX}.")
    for record in sent:
        identity = record.get("record_id") if isinstance(record, dict) else None
        if not isinstance(identity, str) or not 0 < len(identity) <= RECORD_ID_LENGTH_MAX:
            raise ImportRefused("A record is an object with a record_id.")
    return [ImportRequest(alias, user, "record", record["record_id"], record) for record in sent]


def check_files(entity: dict[str, Any]) -> None:
    """Every file that the entity names has an id, an MD5 and a size; ids become 32 hex digits."""
    files = entity.get("files", [])
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise ImportRefused("files is a list of files.")
    for file in [*files, *([entity] if "file_id" in entity else [])]:
        file["file_id"] = hexadecimal(file.get("file_id"), "file_id")
        file["md5"] = hexadecimal(file.get("md5"), "md5")
        size = file.get("file_size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63:
            raise ImportRefused("file_size is a number of bytes.")


def hexadecimal(value: object, name: str) -> str:
    """32 hex digits, small, without hyphens. ImportRefused."""
    text = value.strip().replace("-", "").lower() if isinstance(value, str) else ""
    if len(text) != 32 or set(text) - set("0123456789abcdef"):
        raise ImportRefused(f"{name} is not 32 hex digits.")
    return text


def written(answer: Answer) -> dict[str, str]:
    """The answer as MeteorPi's exporter understands it."""
    if answer.state == NEEDS_FILE:
        return {"state": "need_file_data", "file_id": answer.facts["id"]}
    if answer.state == NEEDS_DEPENDENCY and answer.facts["kind"] == "status":
        return {"state": "need_status", "status_id": answer.facts["id"]}
    if answer.state == NEEDS_DEPENDENCY:
        return {"state": NEEDS_DEPENDENCY, "type": answer.facts["kind"], "id": answer.facts["id"]}
    return {"state": answer.state, **answer.facts}
