"""A static site for measurements, the same in every run, served by nginx on loopback.

A host is an address of its own below 127.0.0.0/8: good, slow (its pages trickle) or failing (503 to
everything but robots.txt, which no host has). Where more URLs are wanted than the disk should hold
pages, copies of a site of one host answer under further addresses: none links to another. Pages are
`LARGE`, as most are, or `SMALL`, where what a page costs is hardly its contents.
"""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

NGINX = "/usr/sbin/nginx"
_NEAR = 3
_FAILING = 20  # pages of a host that fails
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
    log_format url '$scheme://$host:$server_port$request_uri';
    access_log {home}/access.log url;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{servers}
}}
"""
_SERVER = """\
    server {{
        listen {address}:{port};
        root {home}/pages;
        location = /robots.txt {{ return 404; }}
        location / {{ {answer} }}
    }}
"""


class Kind(Enum):
    """How a host answers; the value is what nginx is told."""

    GOOD = ""
    SLOW = "limit_rate 40k;"
    FAILING = "return 503;"


@dataclass(frozen=True, slots=True)
class Shape:
    """What pages are made of: ``links``, and ``paragraphs`` at least and at most."""

    links: int
    paragraphs: tuple[int, int]


LARGE = Shape(60, (55, 115))  # 20 to 40 kB
SMALL = Shape(8, (0, 1))  # 1 kB
ONE_HOST = (Kind.GOOD,)
MANY_HOSTS = (Kind.GOOD,) * 14 + (Kind.SLOW, Kind.FAILING)


class Site:
    """The URLs of all pages: the first page links, in the end, to all that can be read."""

    def __init__(self, pages: int, port: int, hosts: Sequence[Kind]) -> None:
        self._kinds = {f"127.0.{1 + at}.1": kind for at, kind in enumerate(hosts)}
        self.addresses = tuple(self._kinds)
        self.port = port
        self.urls = tuple(f"http://{self._host(n)}:{port}{path_of(n)}" for n in range(pages))

    def _host(self, number: int) -> str:
        """All in turn, until a failing one has `_FAILING`: who backs off from it would wait there
        for minutes."""
        turn, at = divmod(number, len(self.addresses))
        host = self.addresses[at]
        spared = self._kinds[host] is Kind.FAILING and turn >= _FAILING
        return self.addresses[0] if spared else host

    def kind(self, url: str) -> Kind:
        return self._kinds[url.split("/")[2].partition(":")[0]]

    def servers(self) -> Mapping[str, Kind]:
        """How each address answers."""
        return self._kinds


def path_of(number: int) -> str:
    return f"/p/{number % 50}/{number}.html"


def _page(number: int, site: Site, shape: Shape, chance: random.Random) -> str:
    """A page with links, some spelled relative, and five fields.

    The near links reach every page from the first; where a failing host breaks that chain, one of
    the others does.
    """
    urls = site.urls
    near = (number * _NEAR + step for step in range(1, _NEAR + 1))
    others = (chance.randrange(len(urls)) for _ in range(shape.links - _NEAR))
    own = urls[number].split("/p/")[0]
    links = []
    for at, target in enumerate((*near, *others)):
        url = urls[target % len(urls)]
        if url.startswith(f"{own}/"):
            path = url[len(own) :]
            href = f"../..{path}#top" if at % 5 == 4 else path
        else:
            href = url
        links.append(f'<li class="entry"><a class="more" href="{href}">entry {target}</a></li>')
    paragraphs = []
    for _ in range(chance.randrange(*shape.paragraphs)):
        words = " ".join(chance.choices(_WORDS, k=45))
        paragraphs.append(f'<div class="block"><p class="text">{words}</p></div>')
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>Page {number}</title></head>'
        f'<body><h1 class="name">Item {number}</h1><span class="price">{number}.50 EUR</span>'
        f'<span class="sku">S{number:06}</span><time class="at">2024-05-0{number % 9 + 1}</time>'
        f'<p class="about">{" ".join(chance.choices(_WORDS, k=20))}</p>'
        f"<ul>{''.join(links)}</ul>{''.join(paragraphs)}</body></html>"
    )


class Served(Site):
    """The running site; ``copies`` are the addresses of its copies."""

    def __init__(
        self, home: Path, pages: int, port: int, hosts: Sequence[Kind], copies: int
    ) -> None:
        super().__init__(pages, port, hosts)
        self.copies = tuple(f"127.{1 + at // 250}.{1 + at % 250}.1" for at in range(copies))
        self.log = home / "access.log"
        self.pid = 0

    def fetched(self) -> Counter[str]:
        """How often each page was asked for since the last call."""
        lines = self.log.read_text().split()
        self.log.write_text("")
        return Counter(url for url in lines if not url.endswith("/robots.txt"))


@contextmanager
def served(
    home: Path,
    pages: int,
    hosts: Sequence[Kind] = ONE_HOST,
    copies: int = 0,
    shape: Shape = LARGE,
) -> Iterator[Served]:
    """Write the pages below ``home`` and serve them until the block ends."""
    site = Served(home, pages, _free_port(), hosts, copies)
    chance = random.Random(1)
    for number in range(pages):
        file = home / "pages" / path_of(number)[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_page(number, site, shape, chance))
    servers = "".join(
        _SERVER.format(address=address, port=site.port, home=home, answer=kind.value)
        for address, kind in (*site.servers().items(), *((copy, Kind.GOOD) for copy in site.copies))
    )
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(home=home, servers=servers))
    home.chmod(0o755)  # nginx serves as another user where it is started by root
    server = subprocess.Popen([NGINX, "-p", str(home), "-c", str(config)])
    try:
        _await(site.addresses[-1], site.port)
        site.pid = server.pid
        yield site
    finally:
        server.terminate()
        server.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(address: str, port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nginx does not answer")
