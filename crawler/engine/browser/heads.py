"""Heads of HTTP messages as the browser's proxy reads and rewrites them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_NOT_FORWARDED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    }
)  # RFC 9110, 7.6.1
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    407: "Proxy Authentication Required",
    501: "Not Implemented",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


class NotForwarded(Exception):
    """Answered with a status instead of being forwarded."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer; names of fields in lower case."""

    first: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """All that stands behind this name."""
        return [value for each, value in self.fields if each == name]

    def forwarded(self) -> bytes:
        """For the next hop, as the last message of its connection."""
        kept = [b"%s: %s" % each for each in self.fields if each[0] not in _NOT_FORWARDED]
        lines = [self.first, *kept, b"connection: close"]
        return b"\r\n".join(lines) + b"\r\n\r\n"


def parse_head(data: bytes) -> Head:
    """A head as far as its empty line. Raises `NotForwarded`."""
    first, *lines = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise NotForwarded(400, "malformed header")
        fields.append((name.lower(), value.strip()))
    return Head(first, tuple(fields))


def split_target(authority: str, default_port: int | None) -> tuple[str, int]:
    """Host and port of an authority. Raises `NotForwarded`."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port = None, None
    if not host or not port or not {"@", "?", "#"}.isdisjoint(authority):
        raise NotForwarded(400, "malformed target")
    return host, port


def body_length(head: Head) -> int:
    """Bytes of the body of a request. Raises `NotForwarded`."""
    values = set(head.values(b"content-length")) or {b"0"}
    value = values.pop()
    if values or not value.isdigit() or len(value) > 15:
        raise NotForwarded(400, "malformed Content-Length")
    return int(value)


def own_answer(status: int, text: str) -> bytes:
    """A whole answer of the proxy itself, the last of its connection."""
    reason = _REASONS.get(status, "OK")
    challenge = 'Proxy-Authenticate: Basic realm="crawler"\r\n' if status == 407 else ""
    return (
        f"HTTP/1.1 {status} {reason}\r\n{challenge}Content-Type: text/plain\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
    ).encode("latin-1")
