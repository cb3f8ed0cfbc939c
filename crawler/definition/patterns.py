"""Which rule takes which page: URL globs and, after ``re:``, regular expressions.

A glob covers the whole canonical URL. ``*`` stands for any run of characters without ``/``, after
the pattern's ``?`` for any run at all; ``**`` always stands for any run at all; everything else,
``?`` included, stands for itself. A regular expression is searched for anywhere in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import ada_url

from crawler.definition.checks import shortened
from crawler.definition.selectors import MAX_SELECTOR_CHARS, compile_regex
from crawler.errors import InvalidInput

# What a URL may hold besides letters and digits; "%" so that escapes stay as they are.
_URL_MARKS: Final = "!$&'()*+,-./:;=?@[]_~%|"
_ABSOLUTE: Final = re.compile(r"(https?|\*)://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """A compiled ``match``."""

    text: str
    fits: Callable[[str], bool] = field(compare=False)


def compile_match(text: str) -> UrlPattern:
    """Compile a rule's ``match``, or raise `InvalidInput` that says what would be right."""
    if text.startswith("re:"):
        return UrlPattern(text, compile_regex(text.removeprefix("re:")).found_in)
    if not text or len(text) > MAX_SELECTOR_CHARS:
        raise InvalidInput(f"must be 1 to {MAX_SELECTOR_CHARS} characters")
    if "#" in text:
        raise InvalidInput(
            f"{shortened(text)}: URLs are compared without their #fragment; leave it out"
        )
    return UrlPattern(text, _glob(_canonical_glob(text)))


def _canonical_glob(text: str) -> str:
    """The glob spelled as canonical URLs are: lower-case host in ASCII, a path, escapes."""
    if text.startswith("**"):
        return quote(text, safe=_URL_MARKS)
    parts = _ABSOLUTE.fullmatch(text)
    if parts is None or not parts[2]:
        raise InvalidInput(
            f"{shortened(text)}: the pattern is for whole URLs; write https://host/path, "
            "with * and ** where anything may stand, or **/path"
        )
    scheme, host, rest = parts[1].lower(), parts[2].lower(), parts[3]
    if "*" not in host:
        try:
            host = ada_url.URL(f"{'http' if scheme == '*' else scheme}://{host}/").host
        except ValueError as error:
            raise InvalidInput(f"{shortened(text)}: {shortened(host)} is not a host") from error
    rest = rest if rest.startswith("/") else f"/{rest}"
    return f"{scheme}://{host}{quote(rest, safe=_URL_MARKS)}"


def _glob(glob: str) -> Callable[[str], bool]:
    pieces = re.split(r"(\*\*+|\*)", glob)
    head, tail = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return head.__eq__
    if len(pieces) == 3:  # one wildcard, the usual case
        across = _crosses(pieces[1], head)
        return lambda url: (
            len(url) >= len(head) + len(tail)
            and url.startswith(head)
            and url.endswith(tail)
            and (across or "/" not in url[len(head) : len(url) - len(tail)])
        )
    expression = "".join(
        re.escape(piece) if not piece.startswith("*") else _run(piece, "".join(pieces[:at]))
        for at, piece in enumerate(pieces)
    )
    found_in = compile_regex(rf"\A(?s:{expression})\z").found_in
    return lambda url: url.startswith(head) and found_in(url)


def _crosses(wildcard: str, before: str) -> bool:
    return len(wildcard) > 1 or "?" in before


def _run(wildcard: str, before: str) -> str:
    return ".*" if _crosses(wildcard, before) else "[^/]*"


class Rule(Protocol):
    """What routing needs to know of a rule."""

    @property
    def name(self) -> str | None: ...

    @property
    def match(self) -> str | None: ...


class Routes:
    """Which rule takes a page: the one it was sent to, otherwise the first whose match fits.

    Rules go by their label: the name, or ``rules[2]`` where a rule has none.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.labels = tuple(rule.name or f"rules[{at}]" for at, rule in enumerate(rules))
        self._by_label = {label: at for at, label in enumerate(self.labels)}
        self._matches = tuple(
            (at, compile_match(rule.match).fits)
            for at, rule in enumerate(rules)
            if rule.match is not None
        )

    def take(self, url: str, sent_to: str | None) -> int | None:
        """The index of the rule for a canonical URL; None: no rule takes it.

        A label that is no longer there (the definition was changed) counts as none.
        """
        sent = self._by_label.get(sent_to) if sent_to is not None else None
        if sent is not None:
            return sent
        return next((at for at, fits in self._matches if fits(url)), None)
