"""Where may be exported to: only hosts that the operator named, over TLS unless it is this machine or allowed by name.

An export configuration is made in the admin, and what answers inside a server's own network is not the admin's users'
to reach. So nothing is allowed until SYNC_EXPORT_TARGETS names it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from sync_api.exceptions import ExportTargetRefused

PORTS = {"http": 80, "https": 443}


def checked_target(url: str) -> str:
    """The address without a slash at its end. ExportTargetRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ExportTargetRefused(host="?", what="this is not an address; write https://host/path") from None
    host = parts.hostname or ""
    if parts.scheme not in PORTS or not host or parts.query or parts.fragment or parts.username or parts.password:
        what = "the address is https://host/path, without user, password, query and fragment"
        raise ExportTargetRefused(host=host or "?", what=what)
    if any(character.isspace() or not character.isprintable() for character in url) or "\\" in url:
        raise ExportTargetRefused(host=host, what="the address has characters that do not belong there")
    if not is_allowed(host, port or PORTS[parts.scheme], is_usual=port in (None, PORTS[parts.scheme])):
        raise ExportTargetRefused(host=host, what=f"add '{named(parts)}' to SYNC_EXPORT_TARGETS to allow it")
    if parts.scheme == "http" and not (is_loopback(host) or getattr(settings, "SYNC_ALLOW_HTTP", False)):
        raise ExportTargetRefused(host=host, what="plain http would show the password; use https, or SYNC_ALLOW_HTTP")
    return url.rstrip("/")


def named(parts: SplitResult) -> str:
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def is_allowed(host: str, port: int, *, is_usual: bool) -> bool:
    """`host` allows the usual port, `host:8443` that one, `host:*` any; `*.example.org` the hosts below it."""
    for entry in getattr(settings, "SYNC_EXPORT_TARGETS", []):
        name, colon, wanted = entry.strip().lower().partition(":") if not entry.startswith("[") else split_ipv6(entry)
        fits = host.endswith(name[1:]) if name.startswith("*.") else host == name
        if fits and (wanted in ("*", str(port)) if colon else is_usual):
            return True
    return False


def split_ipv6(entry: str) -> tuple[str, str, str]:
    name, _, rest = entry[1:].partition("]")
    return name.lower(), rest[:1], rest[1:]


def origin(url: str) -> str:
    """Scheme, host and port: what a password is given for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 0)}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
