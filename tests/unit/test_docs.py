"""The reference names every setting, limit and command, with its options; the README's commands are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from sync_api.conf import LIMITS

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
OWN_APPS = ("audit", "sync_api", "syncserver")
COMMON_OPTIONS = {"--database", "--json"}
DJANGO_OPTIONS = {
    "--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color",
    "--skip-checks", "--noinput", "--no-input",
}  # fmt: skip
OWN_COMMANDS = sorted(name for name, app in get_commands().items() if app in OWN_APPS)


def settings_by_environment() -> set[str]:
    source = (ROOT / "syncserver" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))


@pytest.mark.parametrize("name", sorted(settings_by_environment() | set(LIMITS)))
def test_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in (DOCS / "reference" / "settings.md").read_text()


def test_no_documented_setting_is_unknown() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (DOCS / "reference" / "settings.md").read_text(), re.M))
    assert documented - settings_by_environment() - set(LIMITS) == set()


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_limit_is_documented_with_its_value(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| ([^|]+) \|", (DOCS / "reference" / "settings.md").read_text(), re.M)
    assert row is not None
    number, _, unit = row[1].strip().partition(" ")
    factor = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}[unit]
    assert float(number.replace(",", "")) * factor == LIMITS[name]


@pytest.mark.parametrize("name", OWN_COMMANDS)
def test_command_is_documented_with_its_options(name: str) -> None:
    text = (DOCS / "reference" / "commands.md").read_text()
    rows = re.findall(rf"^\| `({name}\b[^`]*)`", text, re.M)
    assert rows, f"docs/reference/commands.md has no row for {name}"
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    options = {max(action.option_strings, key=len) for action in parser._actions if action.option_strings}
    missing = {option for option in options - COMMON_OPTIONS - DJANGO_OPTIONS if not any(option in row for row in rows)}
    assert missing == set()


def test_no_documented_command_is_unknown() -> None:
    text = (DOCS / "reference" / "commands.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)", text, re.M)) - set(OWN_COMMANDS) == set()


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_readme_holds_the_command_that_ci_runs(name: str) -> None:
    text = (ROOT / "README.md").read_text()
    assert re.search(rf"<!-- ci: {name} -->\n```sh\n.+\n```", text)


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
