"""What the engine is told: by the operator of the process, and by the definition of a crawl."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from crawler.definition.access import Auth
from crawler.definition.login import Login
from crawler.definition.secrets import Secret


@dataclass(frozen=True, slots=True)
class ProxyPool:
    """``urls``: http:// and socks5://, with user and password where the proxy wants them.
    ``rotation``: "round-robin", or "sticky": a host keeps its proxy."""

    urls: tuple[str, ...] = field(repr=False)
    rotation: str = "round-robin"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the operator of the process decides, and no definition can change.

    ``allow_private``: networks (CIDR) that may be crawled although they are not public.
    ``secrets``: what definitions may name as ``${secret:NAME}``.
    ``proxy_pools``: what definitions may name as ``proxy_pool``.
    ``browser``: the program that shows pages of rules that want a browser; None: the one that is
    installed.
    ``files``: the directory of what rules of kind file keep.
    ``typed_hosts``: literal loopback hosts, as ``host`` or ``host:port``, that the user typed.
    """

    allow_private: tuple[str, ...] = ()
    typed_hosts: tuple[str, ...] = ()
    files: Path | None = None
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    proxy_pools: Mapping[str, ProxyPool] = field(default_factory=dict)
    browser: str | None = None
    batch_visits: int = 100  # a commit takes so many visits at most
    batch_links: int = 10_000  # and so many links, which the pages of a sitemap have more of
    batch_s: float = 0.5  # a finished visit waits so long for company
    report_s: float = 1.0  # seconds between live reports
    stop_s: float = 1.0  # what a cancelled crawl may take to commit what is complete

    def __post_init__(self) -> None:
        assert min(self.batch_visits, self.batch_links) > 0
        assert min(self.batch_s, self.report_s, self.stop_s) >= 0


class Limited(Protocol):
    """A token bucket of a definition."""

    @property
    def events(self) -> int: ...
    @property
    def per(self) -> float: ...
    @property
    def burst(self) -> int: ...


class Pace(Protocol):
    """After how many seconds, at least and at most, a page is asked again by a later run. ``min_s``
    0.0: every run asks it."""

    @property
    def min_s(self) -> float: ...
    @property
    def max_s(self) -> float: ...


class Manners(Protocol):
    """The settings of a definition that the engine reads; see DESIGN.md §4 for their meaning."""

    @property
    def start_urls(self) -> Sequence[str]: ...
    @property
    def sitemaps(self) -> Sequence[str]: ...
    @property
    def allowed_domains(self) -> Sequence[str]: ...
    @property
    def depth_limit(self) -> int: ...
    @property
    def concurrent_requests(self) -> int: ...
    @property
    def concurrent_requests_per_domain(self) -> int: ...
    @property
    def download_delay(self) -> float: ...
    @property
    def randomize_download_delay(self) -> bool: ...
    @property
    def limits(self) -> Sequence[Limited]: ...
    @property
    def concurrent_requests_per_ip(self) -> int: ...
    @property
    def autothrottle_enabled(self) -> bool: ...
    @property
    def autothrottle_start_delay(self) -> float: ...
    @property
    def autothrottle_max_delay(self) -> float: ...
    @property
    def autothrottle_target_concurrency(self) -> float: ...
    @property
    def robotstxt_obey(self) -> bool: ...
    @property
    def nofollow(self) -> str: ...
    @property
    def canonical_links(self) -> str: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def user_agents(self) -> Sequence[str]: ...
    @property
    def user_agent_rotation(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def cookies(self) -> Mapping[str, str]: ...
    @property
    def cookies_enabled(self) -> bool | None: ...
    @property
    def auth(self) -> Sequence[Auth]: ...
    @property
    def login(self) -> Login | None: ...
    @property
    def proxy_pool(self) -> str | None: ...
    @property
    def retry_times(self) -> int: ...
    @property
    def retry_http_codes(self) -> Collection[int]: ...
    @property
    def download_timeout(self) -> float: ...
    @property
    def connect_timeout(self) -> float: ...
    @property
    def first_byte_timeout(self) -> float: ...
    @property
    def download_maxsize(self) -> int: ...
    @property
    def store_body(self) -> bool: ...
    @property
    def max_pages(self) -> int: ...
    @property
    def max_items(self) -> int: ...
    @property
    def max_seconds(self) -> float: ...
    @property
    def partitions(self) -> int: ...
    @property
    def recrawl(self) -> Pace: ...


def own_name(manners: Manners) -> str:
    """The user agent that robots.txt is asked and obeyed as."""
    return manners.user_agents[0] if manners.user_agents else manners.user_agent


def keeps_cookies(manners: Manners) -> bool:
    """Whether cookies of servers are kept. A crawl that sends some of its own wants a session."""
    enabled = manners.cookies_enabled
    if manners.login is not None:
        return True
    return bool(manners.cookies) if enabled is None else enabled


def read_pools(table: Mapping[str, Mapping[str, Any]]) -> dict[str, ProxyPool]:
    """From ``{name: {urls, rotation}}``, as settings have them."""
    return {
        name: ProxyPool(tuple(entry["urls"]), entry["rotation"]) for name, entry in table.items()
    }
