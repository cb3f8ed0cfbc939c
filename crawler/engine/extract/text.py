"""An element's text as a reader sees it: in one line, words that blocks separate kept apart."""

from __future__ import annotations

import re
from typing import Final

import turbohtml

_UNSEEN: Final = frozenset({"script", "style", "template", "noscript"})
_INLINE: Final = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|"
    "output|q|rp|rt|ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)


def one_line(text: str) -> str:
    """Runs of white space become one blank; none at the ends."""
    return " ".join(text.split())


def readable_text(element: turbohtml.Element) -> str:
    """The element's text in one line.

    Everything but inline elements separates words (``a<br>b`` reads ``a b``, ``a<b>b</b>`` reads
    ``ab``); scripts, styles and templates inside the element are left out.
    """
    if element.select_one("*") is None:  # the usual field: text and nothing else
        return one_line(element.text)
    pieces: list[str] = []
    waiting: list[turbohtml.Node | str] = list(reversed(element.children))
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, turbohtml.Text):
            pieces.append(node.data)
        elif isinstance(node, turbohtml.Element) and node.tag not in _UNSEEN:
            if _INLINE.fullmatch(node.tag) is None:
                pieces.append(" ")
                waiting.append(" ")
            waiting.extend(reversed(node.children))
    return one_line("".join(pieces))
