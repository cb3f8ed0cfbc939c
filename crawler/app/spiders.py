"""Spiders made ready for a crawl: the one that a definition names, or one in a user's file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.definition import Definition, from_data, override
from crawler.definition.checks import suggestion
from crawler.errors import InvalidInput, Misconfigured

if TYPE_CHECKING:
    from crawler.spider import Spider
    from crawler.spider.reading import SpiderReader as SpiderReader

_BEGIN_S = 120.0
FILES = "files"  # where a crawl of one's own keeps what its spider saves


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spider and its whole definition. ``origin`` tells spiders of one name apart."""

    kind: type[Spider]
    definition: Definition
    origin: str

    def open(self, home: Path) -> SpiderReader:
        """Begin with it. Raises `InvalidInput` where its own code does not let it."""
        from crawler.spider.reading import SpiderReader

        return SpiderReader(self.kind, self.definition, home / FILES)

    def check_callback(self, name: str) -> None:
        """Raises `InvalidInput` where the spider has no callback of that name."""
        if not callable(getattr(self.kind, name, None)):
            near = suggestion(name, dir(self.kind))
            raise InvalidInput(f"rule: the spider has no callback {name!r}{near}")


async def open_spider(
    definition: Definition, files: Path, *, within_s: float = _BEGIN_S
) -> tuple[Definition, SpiderReader]:
    """The whole definition, what the spider says included, and its reader. In a thread, for other
    people's imports take their time, and a loop that is silent for long is taken for dead.

    Raises `Misconfigured` where it is not installed or does not begin ``within_s``, and
    `InvalidInput` where it is wrong.
    """
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.to_thread(_open, definition, files)
    except TimeoutError as error:
        raise Misconfigured(
            f"spider {definition.spider}: takes longer than {within_s:g} s to be imported and to "
            "start(); have callbacks do what takes long"
        ) from error


def _open(definition: Definition, files: Path) -> tuple[Definition, SpiderReader]:
    from crawler.spider.reading import SpiderReader

    loaded = load_installed(definition)
    return loaded.definition, SpiderReader(loaded.kind, loaded.definition, files)


def load_installed(definition: Definition) -> Loaded:
    """The spider that a definition names. Raises like `open_spider`."""
    from crawler.spider.loading import installed_spider, merged

    assert definition.spider is not None
    kind = installed_spider(definition.spider)
    return Loaded(kind, merged(kind, definition), "")


def load_file(source: str, name: str | None, settings: Sequence[str]) -> Loaded:
    """The spider in a Python file, of several that of the name, with ``-s`` settings over what it
    says. Raises `InvalidInput`."""
    from crawler.spider.loading import merged, spider_in

    path = Path(source)
    kind = spider_in(path, name)
    said = from_data({"spider": kind.name}, source=f"{source}: {kind.__name__}")
    if settings:
        said = override(said, settings)
    if said.spider != kind.name:
        raise InvalidInput("-s: the spider is that of the file; --spider chooses among several")
    return Loaded(kind, merged(kind, said), str(path.resolve()))
