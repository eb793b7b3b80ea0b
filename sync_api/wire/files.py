"""What a batch's header tells of files: which bytes the name in a record's field means.

    header["files"] = [[line, place, sha256, size, media type], ...]

`line` (from 0) is the first in this batch that names the file, `place` the field's place among the model's fields. The
name stands in the line only, so erasing the line erases it. Of a sealed model nothing is said in the open: per group

    header["sealed_files"] = [[group, base64], ...]

holds the same list, sealed as the group's payloads are. A batch has these members only where there is something to
tell, and a file is told once per epoch.
"""

from __future__ import annotations

import re
from typing import Any

SHA256 = re.compile(r"[0-9a-f]{64}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,48}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,48}")
SEALED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
SIZE_MAX = 2**63 - 1


def is_files(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(is_file, value))


def is_file(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 5
        and all(type(number) is int and number >= 0 for number in (*value[:2], value[3]))
        and value[3] <= SIZE_MAX
        and type(value[2]) is str
        and SHA256.fullmatch(value[2]) is not None
        and type(value[4]) is str
        and MEDIA_TYPE.fullmatch(value[4]) is not None
    )


def is_sealed_files(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(map(is_sealed_text, value))
        and len({entry[0] for entry in value}) == len(value)
    )


def is_sealed_text(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[0]) is int
        and value[0] >= 0
        and type(value[1]) is str
        and SEALED.fullmatch(value[1]) is not None
    )
