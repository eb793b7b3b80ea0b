"""`python -m tests.benchmarks [NAME] [--rows N] [--json]`: measure what the project promises."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

NAMES = ("capture", "way", "wire", "push", "memory", "reading", "fleet", "uploads", "exports")
ROWS = {
    "capture": (10_000, 100_000),
    "way": (10_000, 100_000),
    "wire": (10_000,),
    "push": (10_000,),
    "memory": (500_000,),
    "reading": (100_000, 1_000_000),
    "fleet": (1_000,),
    "uploads": (10_000, 100_000),
    "exports": (100_000,),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=NAMES, help="one benchmark; without it all of them")
    parser.add_argument("--rows", type=int, nargs="+", help="instead of the benchmark's own numbers of rows")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--json-file", type=Path, help="also write the JSON to this file")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"

    import django

    django.setup()
    from rich.console import Console

    from tests.benchmarks.figures import Figure, as_json, print_table

    found: list[Figure] = []
    console = Console(stderr=True)
    for name in [options.name] if options.name else NAMES:
        module = import_module(f"tests.benchmarks.{name}")
        for rows in options.rows or ROWS[name]:
            console.print(f"{name}, {rows:,} rows ...")
            found.extend(module.run(rows))
    if options.json_file:
        options.json_file.write_text(as_json(found))
    if options.json:
        print(as_json(found))
    else:
        print_table(found, Console(width=None if sys.stdout.isatty() else 120))
    return 1 if any(figure.ok is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
