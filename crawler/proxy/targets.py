"""What a client wants: the target of its request, and which tunnels it may open. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from crawler.proxy.refusals import Refusal

_PORTS = {"http": 80, "https": 443}
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)"
_PORT = r"(?::(?P<port>[0-9]{1,5}))?"
_ABSOLUTE = re.compile(rf"(?P<scheme>https?)://{_HOST}{_PORT}(?P<rest>[/?][!-~]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(rf"{_HOST}{_PORT}")


@dataclass(frozen=True, slots=True)
class Target:
    """``url`` as it is kept and asked for: scheme and host in lower case, no default port, and the
    path as the client wrote it. ``host``: by what its requests are counted, without port."""

    url: str
    host: str


def parse_target(target: str) -> Target:
    """Of an absolute form (RFC 9112, 3.2.2). Raises `Refusal`."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or "#" in target:
        if target.startswith("/") or target == "*":
            raise Refusal(
                400,
                "this is a proxy, not a site: set it as the proxy of your client "
                "(curl -x http://HOST:PORT URL), which then asks for whole URLs",
                "http_request_error",
            )
        raise Refusal(
            400,
            "the target must be a whole http:// or https:// URL, without user, password and "
            "fragment",
            "http_request_error",
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = _port(found["port"]) or _PORTS[scheme]
    rest = found["rest"] or "/"
    rest = f"/{rest}" if rest.startswith("?") else rest
    authority = host if port == _PORTS[scheme] else f"{host}:{port}"
    return Target(f"{scheme}://{authority}{rest}", counted(host.strip("[]")))


def counted(host: str) -> str:
    """The one name of a host, whether or not it is spelt as the absolute one."""
    return host.rstrip(".")


def parse_authority(target: str) -> tuple[str, int]:
    """Host and port of a CONNECT (RFC 9112, 3.2.3). Raises `Refusal`."""
    found = _AUTHORITY.fullmatch(target)
    if found is None or found["port"] is None:
        raise Refusal(400, "CONNECT wants HOST:PORT", "http_request_error")
    return found["host"].lower().strip("[]"), _port(found["port"])


def _port(text: str | None) -> int:
    if text is None:
        return 0
    port = int(text)
    if not 1 <= port <= 65535:
        raise Refusal(400, f"{text} is no port", "http_request_error")
    return port


@dataclass(frozen=True, slots=True)
class Opening:
    """Tunnels that may be opened: a pattern of hosts, and a port (None: any)."""

    host: str
    port: int | None


def read_opening(text: str) -> Opening:
    """``HOST:PORT`` as settings have it, where ``*`` stands for anything: ``*.example.org:*``."""
    host, _, port = text.rpartition(":")
    return Opening(host.lower().strip("[]"), None if port == "*" else int(port))


def check_tunnel(openings: Sequence[Opening], host: str, port: int) -> None:
    """Raises `Refusal` where none of them lets it pass."""
    for each in openings:
        if each.port in (None, port) and fnmatchcase(counted(host), each.host):
            return
    raise Refusal(
        403,
        f"tunnels to {host}:{port} are not allowed here; allowed are "
        f"{', '.join(map(_words, openings)) or 'none'}: the worker's setting proxy_connect",
        "http_request_denied",
    )


def _words(opening: Opening) -> str:
    return f"{opening.host}:{opening.port or '*'}"
