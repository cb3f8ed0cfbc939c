"""A static site for measurements, the same in every run, served by nginx on loopback."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = "/usr/sbin/nginx"
_LINKS = 60
_WORDS = ("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "haven", "islet", "jetty")
_CONFIG = """\
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 512; }}
http {{
    default_type text/html;
    sendfile on;
    keepalive_requests 100000;
    log_format path '$request_uri';
    access_log {home}/access.log path;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{ listen 127.0.0.1:{port}; root {home}/pages; }}
}}
"""


def paths(pages: int) -> list[str]:
    """The path of every page; the first links, in the end, to all."""
    return [f"/p/{n % 50}/{n}.html" for n in range(pages)]


def _page(number: int, pages: int, chance: random.Random) -> str:
    """20 to 40 kB with `_LINKS` links, some spelled relative, and five fields."""
    near = (number * 3 + step for step in (1, 2, 3))
    others = (chance.randrange(pages) for _ in range(_LINKS - 3))
    every = paths(pages)
    links = []
    for at, target in enumerate((*near, *others)):
        path = every[target % pages]
        href = f"../..{path}#top" if at % 5 == 4 else path
        links.append(f'<li class="entry"><a class="more" href="{href}">entry {target}</a></li>')
    paragraphs = []
    for _ in range(chance.randrange(55, 115)):
        words = " ".join(chance.choices(_WORDS, k=45))
        paragraphs.append(f'<div class="block"><p class="text">{words}</p></div>')
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>Page {number}</title></head>'
        f'<body><h1 class="name">Item {number}</h1><span class="price">{number}.50 EUR</span>'
        f'<span class="sku">S{number:06}</span><time class="at">2024-05-0{number % 9 + 1}</time>'
        f'<p class="about">{" ".join(chance.choices(_WORDS, k=20))}</p>'
        f"<ul>{''.join(links)}</ul>{''.join(paragraphs)}</body></html>"
    )


class Served:
    """The running site."""

    def __init__(self, home: Path, port: int, pages: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.paths = paths(pages)
        self._log = home / "access.log"

    def fetched(self) -> Counter[str]:
        """How often each page was asked for since the last call."""
        found = Counter(path for path in self._log.read_text().split() if path != "/robots.txt")
        self._log.write_text("")
        return found


@contextmanager
def served(home: Path, pages: int) -> Iterator[Served]:
    """Write the pages below ``home`` and serve them until the block ends."""
    chance = random.Random(1)
    for number, path in enumerate(paths(pages)):
        file = home / "pages" / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_page(number, pages, chance))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, port=port))
    home.chmod(0o755)  # nginx serves as another user where it is started by root
    server = subprocess.Popen([NGINX, "-p", str(home), "-c", str(config)])
    try:
        _await_port(port)
        yield Served(home, port, pages)
    finally:
        server.terminate()
        server.wait(10)


def _await_port(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nginx does not answer")
