"""Looking at pages by hand, one after the other, with all that a spider or rules could do."""

from __future__ import annotations

from asyncio import Runner
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from crawler.app.here import engine_settings
from crawler.app.spiders import Loaded
from crawler.app.trial import asked_for, fetch_one, read_one
from crawler.clock import SystemClock
from crawler.definition import Definition
from crawler.engine.extract import Extraction
from crawler.engine.fetch import Page as Answer
from crawler.engine.single import open_single

if TYPE_CHECKING:
    from crawler.spider.page import Page


class Shell:
    """Page after page as a person asks for them, ``url`` first. ``page`` is the latest, as spiders
    get it; ``home`` is where it saves what is to be saved."""

    page: Page

    def __init__(
        self,
        url: str,
        ask: Callable[[str], Answer],
        definition: Definition,
        loaded: Loaded | None,
        home: Path,
    ) -> None:
        self._ask = ask
        self._definition = definition
        self._loaded = loaded
        self._home = home
        self._take(ask(url))

    def fetch(self, url: str) -> Page:
        """The page of this URL, or of where this reference of the latest page leads. Raises
        `InvalidInput` and `FetchFailed`; then the latest page stays."""
        self._take(self._ask(self.page.located.join(url) or url))
        return self.page

    def _take(self, answer: Answer) -> None:
        from crawler.engine.files import keep_file
        from crawler.spider.page import Page

        def keep(body: bytes, content_type: str) -> str:
            return keep_file(self._home, body, content_type)

        self._answer = answer
        self.page = Page(asked_for(answer), answer, keep)

    def read(self, rule: str | None, carry: Mapping[str, Any]) -> Extraction:
        """What the definition makes of the latest page. ``rule`` names the rule or callback that a
        link would have sent it to, with the values of ``carry``. Raises `InvalidInput` where there
        is none, and `FetchFailed` where a callback fails."""
        return read_one(self._definition, self._loaded, self._answer, rule, carry, self._home)

    def links(self, css: str = "a") -> list[str]:
        """Where the links of the latest page lead that a selector finds, each once, in order."""
        found = (each.url for each in self.page.follow_all(css))
        return list(dict.fromkeys(url for url in found if url.startswith(("http:", "https:"))))


@contextmanager
def open_shell(
    url: str,
    definition: Definition,
    *,
    hosts: Sequence[str] = (),
    allow_private: Sequence[str] = (),
    entrusted: Mapping[str, Any] = MappingProxyType({}),
    loaded: Loaded | None = None,
) -> Iterator[Shell]:
    """Begin at this page. Connections, cookies and what robots.txt said are kept until the end of
    the block, and so is what pages save. Raises like `Shell.fetch`."""
    import uvloop

    settings = engine_settings(allow_private, hosts, entrusted)
    with TemporaryDirectory() as home, Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = AsyncExitStack()
        opening = opened.enter_async_context(open_single(definition, settings, SystemClock()))
        try:
            single = runner.run(opening)

            def ask(url: str) -> Answer:
                return runner.run(fetch_one(single, url))

            yield Shell(url, ask, definition, loaded, Path(home))
        finally:
            runner.run(opened.aclose())
