"""What a single setting may hold: a check returns the value or raises ValueError."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# What the cluster keeps below /crawler/ itself; an election there would be mistaken for it.
_OWN_KEYS = frozenset({
    "definitions", "desired", "parts", "status", "decisions", "load", "cluster", "drained", "ids",
    "instances", "owners",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server binds: an IP address (or name) and a port, 0 for any free one. ``implicit``:
    no host was said, and loopback is the safe choice."""

    host: str
    port: int
    implicit: bool = field(default=False, compare=False)

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listen(text: str) -> Listen:
    """``HOST:PORT``; no host is loopback."""
    host, separator, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1
    if not separator or not 0 <= number <= 65535:
        raise ValueError(f"expected HOST:PORT or :PORT, got {text!r}")
    host, implicit = host.removeprefix("[").removesuffix("]"), not host
    if host in ("", "localhost"):
        host = "127.0.0.1"
    elif re.fullmatch(r"[A-Za-z0-9.:_-]+", host) is None:
        raise ValueError(f"{host!r} is no host")
    return Listen(host, number, implicit)


def collector(text: str) -> str | None:
    """The URL of an OTLP collector, as it is asked: ``http://127.0.0.1:4318/v1/traces``."""
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        raise ValueError("a URL like http://127.0.0.1:4318/v1/traces")
    return text


def optional_listen(text: str) -> Listen | None:
    """The same; an empty text is None."""
    return listen(text) if text else None


def endpoint(text: str) -> str:
    """One address of etcd as a URL that ends with its port."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise ValueError(f"expected http://HOST:PORT or https://HOST:PORT, got {_masked(text)!r}")
    if "@" in parts.netloc:
        raise ValueError("user and password belong into etcd_user and etcd_password, not the URL")
    if parts.path.strip("/") or parts.query:
        raise ValueError(f"an etcd address ends with its port, got {text!r}")
    return f"{parts.scheme}://{parts.netloc}"


def endpoints(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of etcd, each once."""
    return tuple(dict.fromkeys(endpoint(text) for text in texts))


def store(text: str) -> str:
    """A store URL. What it holds of a password is never repeated."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("postgresql", "postgres") and rest:
        return text
    if separator and scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return text
    raise ValueError(
        f"expected sqlite:///PATH or postgresql://USER@HOST/DATABASE, got {_masked(text)!r}"
    )


def _masked(url: str) -> str:
    """Without user and password, whatever signs these hold: to the last @, that is."""
    return re.sub(r"://.*@", "://***@", url, flags=re.DOTALL)


def networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Networks in CIDR form."""
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in texts)
    except ValueError as error:
        raise ValueError(f"expected networks such as 10.0.0.0/8: {error}") from error


def advertise(text: str) -> str | None:
    """``HOST`` or ``HOST:PORT``; an IPv6 address with a port stands in brackets."""
    found = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", text)
    bare = re.fullmatch(r"[0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,}", text)
    if text and not (bare or (found and 1 <= int(found[1] or 1) <= 65535)):
        raise ValueError(f"expected HOST or HOST:PORT, got {text!r}")
    return text or None


def openings(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Tunnels that may be opened: ``HOST:PORT``, where ``*`` stands for anything."""
    for text in texts:
        found = re.fullmatch(r"(?:[A-Za-z0-9.*_-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5}|\*)", text)
        if found is None or (found[1] != "*" and not 1 <= int(found[1]) <= 65535):
            raise ValueError(f"expected HOST:PORT such as *:443 or *.example.org:*, got {text!r}")
    return texts


def ip(text: str) -> str | None:
    """An IP address."""
    return str(ipaddress.ip_address(text)) if text else None


def election(text: str) -> str:
    """A key prefix below which nothing else of ours lies."""
    prefix = text.rstrip("/")
    own = re.fullmatch(r"/crawler/([A-Za-z0-9_.-]+)(/[A-Za-z0-9_./-]+)?", prefix)
    if prefix == "/resources/election" or (own is not None and own[1] not in _OWN_KEYS):
        return prefix
    raise ValueError("expected /resources/election, or /crawler/NAME with a name not used there")


def between(low: int, high: int) -> Callable[[int], int]:
    """Numbers from ``low`` to ``high``."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, got {value}")
        return value

    return check


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def check(value: str) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(words)}, got {value!r}")
        return value

    return check


def or_none(text: str) -> str | None:
    """Any text; an empty one is None."""
    return text or None


def directory(text: str) -> Path:
    """A directory, there or not, as an absolute path."""
    if not text:
        raise ValueError("expected a directory")
    return Path(text).expanduser().absolute()


def optional_directory(text: str) -> Path | None:
    """The same; an empty text is None."""
    return directory(text) if text else None


def file(text: str) -> str | None:
    """A file that is there; an empty text is None."""
    if text and not Path(text).expanduser().is_file():
        raise ValueError(f"no such file: {text}")
    return str(Path(text).expanduser()) if text else None


def program(text: str) -> str | None:
    """A program that can be started; an empty text is None."""
    if file(text) is not None and not os.access(Path(text).expanduser(), os.X_OK):
        raise ValueError(f"no program: {text}")
    return str(Path(text).expanduser().absolute()) if text else None


def files(texts: tuple[str, ...]) -> tuple[Path, ...]:
    """Files that are there, as absolute paths."""
    for text in texts:
        file(text)
    return tuple(Path(text).expanduser().absolute() for text in texts)
