"""What repeats on a page, match by match: what ``each`` of a rule finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import turbohtml

from crawler.definition.jmes import compile_json
from crawler.definition.rules import Each
from crawler.definition.selectors import compile_css, compile_xpath
from crawler.engine.extract.fields import Reading, written
from crawler.engine.extract.page import Located

MAX_MATCHES: Final = 10_000
# Matches within matches are read as often as they are deep: a page of them must not take hours.
MAX_NESTED: Final = 32


class Scopes:
    """A compiled `Each`; ``selector`` is how it was written, for people."""

    name = "each"

    def __init__(self, each: Each) -> None:
        self.selector = written(each)
        self._find: Callable[[Any], Sequence[Any]]
        if each.json_ is not None:
            self._find = compile_json(each.json_).find
        elif each.css is not None:
            self._find = compile_css(each.css).find
        else:
            assert each.xpath is not None, "the schema asks for one"
            self._find = compile_xpath(each.xpath).find

    def read(self, page: Located) -> Reading:
        """``value`` is the list of what is looked at one by one: elements, or JSON values."""
        try:
            found: Sequence[Any] = self._find(page.root)
        except (ValueError, TypeError) as error:
            return Reading((), [], str(error))
        scopes = found
        if isinstance(page.root, turbohtml.Document):
            elements = [each for each in found if isinstance(each, turbohtml.Element)]
            scopes = _flat(elements[: MAX_MATCHES + 1])
            if len(elements) < len(found):
                return Reading(found, scopes[:MAX_MATCHES], "finds text; it must name elements")
            if len(scopes) < min(len(elements), MAX_MATCHES + 1):
                said = f"matches nested deeper than {MAX_NESTED} left out"
                return Reading(found, scopes[:MAX_MATCHES], said)
        left_out = len(found) - MAX_MATCHES
        said = f"{left_out} matches left out: more than {MAX_MATCHES}" if left_out > 0 else ""
        return Reading(found, scopes[:MAX_MATCHES], said)


def _flat(elements: Sequence[turbohtml.Element]) -> list[turbohtml.Element]:
    """Those that stand in at most `MAX_NESTED` of the others."""
    everyone = frozenset(elements)
    return [
        each
        for each in elements
        if sum(above in everyone for above in each.ancestors) <= MAX_NESTED
    ]
