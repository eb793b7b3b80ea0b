"""`min_client_version`: which clients are too old for a model. One definition for batches and uploads.

A model says it as a class attribute (`min_client_version = "2.0"`), in the form of semantic versions; missing
parts count as zero. A client whose version is none is older than any.
"""

from __future__ import annotations

from typing import Any

from semantic_version import Version

NO_MINIMUM = "0.0.0"


def min_client_version(model: type[Any]) -> str | None:
    """The oldest client version that may deliver `model`; None when any may."""
    wanted = getattr(model, "min_client_version", None)
    return None if wanted is None else str(wanted)


def read_version(text: str) -> Version | None:
    """A version as written by people (`2.0` is `2.0.0`); None when it is none."""
    try:
        return Version.coerce(text)
    except ValueError:
        return None


def too_old(client: str, model: type[Any]) -> str | None:
    """The version that `model` asks for when a client of version `client` is older; else None."""
    wanted = min_client_version(model)
    if wanted is None:
        return None
    version = read_version(client)
    return None if version is not None and version >= Version.coerce(wanted) else wanted
