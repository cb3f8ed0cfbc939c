"""What the engine is told: by the operator of the process, and by the definition of a crawl."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the operator of the process decides, and no definition can change.

    ``allow_private``: networks (CIDR) that may be crawled although they are not public.
    ``typed_hosts``: literal loopback hosts, as ``host`` or ``host:port``, that the user typed.
    """

    allow_private: tuple[str, ...] = ()
    typed_hosts: tuple[str, ...] = ()
    batch_visits: int = 100  # a commit takes so many visits at most
    batch_links: int = 10_000  # and so many links, which the pages of a sitemap have more of
    batch_s: float = 0.5  # a finished visit waits so long for company
    report_s: float = 1.0  # seconds between live reports
    stop_s: float = 1.0  # what a cancelled crawl may take to commit what is complete

    def __post_init__(self) -> None:
        assert min(self.batch_visits, self.batch_links) > 0
        assert min(self.batch_s, self.report_s, self.stop_s) >= 0


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
    def robotstxt_obey(self) -> bool: ...
    @property
    def nofollow(self) -> str: ...
    @property
    def canonical_links(self) -> str: ...
    @property
    def user_agent(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def cookies(self) -> Mapping[str, str]: ...
    @property
    def retry_times(self) -> int: ...
    @property
    def retry_http_codes(self) -> Collection[int]: ...
    @property
    def download_timeout(self) -> float: ...
    @property
    def download_maxsize(self) -> int: ...
    @property
    def max_pages(self) -> int: ...
    @property
    def max_items(self) -> int: ...
    @property
    def max_seconds(self) -> float: ...
    @property
    def partitions(self) -> int: ...
