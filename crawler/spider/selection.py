"""What a selector found on a page, as users of Scrapy know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, overload

from crawler.definition.selectors import (
    Found,
    Node,
    Selector,
    compile_css,
    compile_regex,
    compile_xpath,
)
from crawler.engine.extract.values import as_text, link_of

_css = lru_cache(1_000)(compile_css)
_xpath = lru_cache(1_000)(compile_xpath)
_regex = lru_cache(1_000)(compile_regex)


class Selection(Sequence["Selection"]):
    """Elements and strings in the order of the page. Each of it is a selection of one."""

    __slots__ = ("_found",)

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> Selection: ...
    @overload
    def __getitem__(self, at: slice) -> Selection: ...
    def __getitem__(self, at: int | slice) -> Selection:
        return Selection(self._found[at] if isinstance(at, slice) else [self._found[at]])

    def __iter__(self) -> Iterator[Selection]:
        return (Selection([each]) for each in self._found)

    def __repr__(self) -> str:
        return f"Selection({self.getall()!r:.200})"

    def css(self, selector: str) -> Selection:
        """What CSS finds within each, with ``::text`` and ``::attr(name)``. Raises `InvalidInput`
        for what is no selector."""
        return self._find(_css(selector))

    def xpath(self, path: str) -> Selection:
        """What XPath 1.0 finds from each on; ``./`` is below it, ``//`` anywhere on the page.
        Raises `InvalidInput`, and `ValueError` where it cannot be evaluated."""
        return self._find(_xpath(path))

    def _find(self, selector: Selector) -> Selection:
        nodes = (each for each in self._found if not isinstance(each, str))
        return Selection([found for node in nodes for found in selector.find(node)])

    def get(self, default: Any = None) -> Any:
        """The first: a string as it is, an element as HTML; ``default`` where there is none."""
        return _as_string(self._found[0]) if self._found else default

    def getall(self) -> list[str]:
        """All of it, each like `get`."""
        return [_as_string(each) for each in self._found]

    def re(self, pattern: str) -> list[str]:
        """What a regular expression (RE2: linear time) finds in each, as `find_re` does."""
        return [found for text in self.getall() for found in find_re(text, pattern)]

    def re_first(self, pattern: str, default: Any = None) -> Any:
        """The first of that; ``default`` where there is none."""
        return next(iter(self.re(pattern)), default)

    def text(self, default: Any = None) -> Any:
        """The readable text of the first in one line; ``default`` where there is none."""
        return as_text(self._found[0]) if self._found else default

    @property
    def attrib(self) -> dict[str, str]:
        """The attributes of the first element; none where there is no element."""
        for each in self._found:
            if not isinstance(each, str):
                return {name: each.attr(name) or "" for name in each.attrs}
        return {}

    def links(self) -> list[str]:
        """The references that it holds, as written: of elements ``href`` or ``src``, or strings."""
        return [link for each in self._found if (link := link_of(each)) is not None]


def select_css(node: Node, selector: str) -> Selection:
    """See `Selection.css`."""
    return Selection(_css(selector).find(node))


def select_xpath(node: Node, path: str) -> Selection:
    """See `Selection.xpath`."""
    return Selection(_xpath(path).find(node))


def find_re(text: str, pattern: str) -> list[str]:
    """What a regular expression finds: its group, or without one the whole match. Raises
    `InvalidInput` for what is none, and for more than one group."""
    return list(_regex(pattern).find(text.encode("utf-8", "replace")))


def _as_string(found: Found) -> str:
    return found if isinstance(found, str) else found.html
