"""Where a crawl may go: by host, by port, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crawler.engine.urls.canonical import canonical, host_of

_MEMO = 50_000  # hosts; a crawl of more starts to remember anew


class Territory(Protocol):
    """What a scope is made of, as a definition has it."""

    @property
    def start_urls(self) -> Sequence[str]: ...
    @property
    def sitemaps(self) -> Sequence[str]: ...
    @property
    def allowed_domains(self) -> Sequence[str]: ...


def _parts(host: str) -> tuple[str, str]:
    """Name and port ("" for the scheme's own) of a `host_of`."""
    if host.endswith("]"):
        return host, ""
    name, _, port = host.partition(":") if host[:1] != "[" else host.rpartition(":")
    return name, port


def name_of(url: str) -> str:
    """The host of a canonical URL without its port."""
    return _parts(host_of(url))[0]


class Scope:
    """The hosts of a crawl with their subdomains.

    Without ``allowed_domains``: the hosts of the start URLs and sitemaps, and those that `adopt`
    adds. Ports other than the scheme's own are in scope where one of these has them.
    """

    def __init__(self, territory: Territory) -> None:
        urls = (*territory.start_urls, *territory.sitemaps)
        starts = [_parts(host_of(canonical(url))) for url in urls]
        named = [_parts(host_of(canonical(f"http://{d}/"))) for d in territory.allowed_domains]
        self._open = not named  # only a default scope grows
        self._domains = {name for name, _ in named or starts}
        self._ports = {"", *(port for _, port in starts + named)}
        self._trusted = {name for name, _ in starts + named}
        self._plain = any(url.lower().startswith("http:") for url in urls)
        self._memo: dict[str, bool] = {}

    def allows(self, url: str) -> bool:
        """Whether a canonical URL is in scope."""
        host = host_of(url)
        known = self._memo.get(host)
        if known is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            known = self._memo[host] = self._judge(host)
        return known

    def _judge(self, host: str) -> bool:
        name, port = _parts(host)
        if port not in self._ports:
            return False
        return _covered(name, self._domains)

    def adopt(self, host: str) -> bool:
        """Take in a host where the crawl begins, or that a start URL redirects to. Where domains
        were named, that is another port of theirs, for they cannot name it, or False."""
        name, port = _parts(host)
        if not self._open and not _covered(name, self._domains):
            return False
        self._domains.add(name)
        self._ports.add(port)
        self._memo.clear()
        return True

    def trusts(self, url: str) -> bool:
        """Whether credentials (cookies, Authorization) may be sent to this canonical URL.

        Only to hosts that the user named, never to adopted ones; and in the clear only where a
        start URL is in the clear.
        """
        return not self.exposes(url) and self.allows(url) and _covered(name_of(url), self._trusted)

    def exposes(self, url: str) -> bool:
        """Whether what is sent to this URL goes in the clear, which no start URL does."""
        return url.startswith("http:") and not self._plain

    @property
    def trusted(self) -> Sequence[str]:
        """The domains that `trusts` means."""
        return sorted(self._trusted)


def _covered(name: str, domains: set[str]) -> bool:
    """Whether ``name`` is one of the domains or below one (an address is below nothing)."""
    if name in domains:
        return True
    if name[-1:].isdecimal() or name.endswith("]"):
        return False
    while name:
        _, _, name = name.partition(".")
        if name in domains:
            return True
    return False
