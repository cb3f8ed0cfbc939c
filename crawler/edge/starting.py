"""The files that an entry begins with: a load balancer's own, commented, and the edge's.

What is set, and why, was measured: with these settings no request failed while servers were killed,
added and removed. The texts are in ``begin/``; lines behind a mark such as ``#tls#`` are for those
who want that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crawler.clock import SystemClock
from crawler.edge.haproxy import Haproxy
from crawler.edge.members import Backends
from crawler.edge.nginx import Nginx
from crawler.edge.settings import DEFAULT_POOLS, HaproxyTarget, NginxTarget

_TEXTS = Path(__file__).parent / "begin"
_MARKED = re.compile(r"^(?P<blank> *)#(?P<mark>[a-z-]+)# (?P<rest>.*\n)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wish:
    """Where the files will be, where the entry listens, and where etcd is. ``generation``: see
    `NginxTarget`; ``socket``: see `HaproxyTarget`. ``tls``: the directory with ``ca.pem``, and
    ``entry.pem`` and ``entry.key`` as `crawler certs` makes them (None: masters speak in clear);
    haproxy wants these two in one file, ``entry.both.pem``."""

    directory: Path
    http: str = "127.0.0.1:8000"
    grpc: str = "127.0.0.1:9000"
    etcd: Sequence[str] = ("http://127.0.0.1:2379",)
    state: Path = Path("/var/lib/crawler-edge")
    generation: str = "127.0.0.1:8790"
    socket: Path = Path("/run/haproxy/admin.sock")
    tls: Path | None = None


def nginx_files(wish: Wish) -> dict[str, str]:
    """By name: ``nginx.conf``, ``edge.toml``, and the list to begin with, of nobody yet."""
    main, file = wish.directory / "nginx.conf", wish.directory / "upstreams.conf"
    target = NginxTarget(kind="nginx", file=file, main=main, generation=wish.generation)
    return {
        main.name: _filled("nginx", main.name, wish, main, file),
        file.name: Nginx("nginx", target).render(_nobody()).decode(),
        "edge.toml": _filled("nginx", "edge.toml", wish, main, file),
    }


def haproxy_files(wish: Wish) -> dict[str, str]:
    """By name: ``haproxy.cfg``, ``edge.toml``, and the backends to begin with, of nobody yet."""
    main, file = wish.directory / "haproxy.cfg", wish.directory / "backends.cfg"
    target = HaproxyTarget(kind="haproxy", file=file, configs=(main, file), socket=wish.socket)
    return {
        main.name: _filled("haproxy", main.name, wish, main, file),
        file.name: Haproxy("haproxy", target, SystemClock()).render(_nobody()).decode(),
        "edge.toml": _filled("haproxy", "edge.toml", wish, main, file),
    }


FILES: Mapping[str, Callable[[Wish], dict[str, str]]] = {
    "nginx": nginx_files,
    "haproxy": haproxy_files,
}


def _nobody() -> dict[str, Backends]:
    return {name: Backends(pool, ()) for name, pool in DEFAULT_POOLS.items()}


def _filled(kind: str, name: str, wish: Wish, main: Path, file: Path) -> str:
    """One of the texts, with what is wished."""
    wanted = {kind, "plain"} if wish.tls is None else {kind, "tls", f"{kind}-tls"}

    def choose(line: re.Match[str]) -> str:
        return f"{line['blank']}{line['rest']}" if line["mark"] in wanted else ""

    text = _MARKED.sub(choose, (_TEXTS / name).read_text("utf-8"))
    for mark, value in {
        "HTTP": wish.http,
        "GRPC": wish.grpc,
        "MAIN": str(main),
        "FILE": str(file),
        "GENERATION": wish.generation,
        "SOCKET": str(wish.socket),
        "STATE": str(wish.state),
        "TLS": str(wish.tls),
        "ETCD": ", ".join(f'"{each}"' for each in wish.etcd),
    }.items():
        text = text.replace(f"@{mark}@", value)
    return re.sub(r"\n{3,}", "\n\n", text)
