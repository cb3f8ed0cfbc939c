"""A worker's trials without pages: what was asked, and an answer that says so."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from crawler.errors import CrawlerError


@dataclass
class FakeTrials:
    """``asked`` holds every call; ``fail_next`` holds errors that the next ones raise."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    fail_next: list[CrawlerError] = field(default_factory=list)

    async def try_page(self, definition: str, url: str, rule: str) -> str:
        self._enter("try", definition, url, rule)
        found = {"rule": rule, "items": [], "links": [], "errors": [], "fields": []}
        return json.dumps({**found, "unfinished": None, "item_count": 0, "link_count": 0})

    async def propose(self, url: str) -> str:
        self._enter("propose", url)
        return f'start_urls = ["{url}"]\n'

    def _enter(self, *asked: str) -> None:
        self.asked.append(asked)
        if self.fail_next:
            raise self.fail_next.pop(0)
