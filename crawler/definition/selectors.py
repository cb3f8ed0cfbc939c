"""Selectors compiled once: CSS with ``::text`` and ``::attr(name)``, XPath, linear-time regexes.

CSS and XPath run in turbohtml, regexes in RE2. What a selector finds is a list of elements and
strings in document order. The rules for CSS:

* ``h1`` finds elements; ``h1::attr(id)`` the attribute of each that has it;
* ``h1::text`` finds the text nodes that stand directly in each match, match by match;
* ``h1 ::text`` (with a space) finds every text node below it, however deep;
* arms with one ending are found in document order, arms with several endings
  (``h1::text, meta[name=title]::attr(content)``) in the order written;
* within an element, that element itself may be what is found, as in Scrapy: within ``a.card``,
  ``a::attr(href)`` and ``::attr(href)`` find its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import re2
import turbohtml
from turbohtml import query

from crawler.definition.checks import shortened
from crawler.errors import InvalidInput

Node = turbohtml.Document | turbohtml.Element
Found = turbohtml.Element | str

MAX_SELECTOR_CHARS: Final = 4_000
# A page may hold half a million links; a selector never collects more nodes than this.
MAX_FOUND: Final = 200_000

_PROBE: Final = turbohtml.parse("<p></p>", positions=False)
_DIRECT_TEXT: Final = turbohtml.XPath("text()")
_ALL_TEXT: Final = turbohtml.XPath("descendant::text()")
_ENDING: Final = re.compile(r"::(?:(text)|attr\(\s*([\w:.-]+)\s*\))$")
_CSS_PIECE: Final = re.compile(r"""\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[][(),]|[^][(),"'\\]+""")
_XPATH_STRING: Final = re.compile(r"""'[^']*'|"[^"]*\"""")
_XPATH_CALL: Final = re.compile(r"(?<![\w.$:-])((?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*)\s*\(")
_XPATH_PREFIX: Final = re.compile(r"(?<![\w.:-])([A-Za-z_][\w.-]*):(?:\*|[\w.-]+(?![\w.-]|\s*\())")
_XPATH_VARIABLE: Final = re.compile(r"\$\s*([\w.-]*)")
_NODE_TESTS: Final = frozenset({"text", "node", "comment", "processing-instruction"})
_OPERATORS: Final = frozenset({"and", "or", "div", "mod"})


class Selector(Protocol):
    """What finds things in a parsed page."""

    @property
    def text(self) -> str:
        """The selector as it was written."""

    def find(self, node: Node) -> Sequence[Found]:
        """At most `MAX_FOUND` elements and strings; `ValueError` if it cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class _Arm:
    """One CSS selector list and what is taken of each match: element, text or an attribute.

    ``within`` is the same for an element: which of its matches are outermost depends on it.
    """

    matcher: query.Matcher
    take: str  # "element", "text", "all text" or "@" with an attribute's name
    within: query.Matcher

    def find(self, node: Node) -> list[Found]:
        if isinstance(node, turbohtml.Element):
            matches = self._matches_within(node)
        else:
            matches = self.matcher.select(node, MAX_FOUND)
        if self.take == "element":
            return list(matches)
        if self.take[0] == "@":
            name = self.take[1:]
            return [value for match in matches if (value := match.attr(name)) is not None]
        texts = _DIRECT_TEXT if self.take == "text" else _ALL_TEXT
        return [text for match in matches for text in _strings(texts(match))]

    def _matches_within(self, scope: turbohtml.Element) -> list[turbohtml.Element]:
        matches = self.within.select(scope, MAX_FOUND)
        if self.within.match(scope):
            matches = [scope, *matches]
        return outermost(matches) if self.take == "all text" else matches


@dataclass(frozen=True, slots=True)
class CssSelector:
    """CSS, as described atop this module."""

    text: str
    arms: tuple[_Arm, ...]

    @property
    def finds_elements(self) -> bool:
        """Whether it finds elements and nothing else."""
        return all(arm.take == "element" for arm in self.arms)

    def find(self, node: Node) -> Sequence[Found]:
        if len(self.arms) == 1:
            return self.arms[0].find(node)
        return [found for arm in self.arms for found in arm.find(node)][:MAX_FOUND]


@dataclass(frozen=True, slots=True)
class XPathSelector:
    """XPath 1.0 with turbohtml's functions (EXSLT ``re:test`` and a few of XPath 2 among them).

    Numbers and booleans count as one string: ``3``, ``true``.
    """

    text: str
    path: turbohtml.XPath

    def find(self, node: Node) -> Sequence[Found]:
        result = self.path(node)
        if isinstance(result, bool):
            return ["true" if result else "false"]
        if isinstance(result, float):
            return [str(int(result)) if result.is_integer() else repr(result)]
        if isinstance(result, str):
            return [result]
        return [_found(entry) for entry in result[:MAX_FOUND]]


@dataclass(frozen=True, slots=True)
class Regex:
    """An RE2 pattern: what it finds is its group, or without a group the whole match."""

    text: str
    pattern: Any  # re2 has no types

    def find(self, source: bytes) -> Iterator[str]:
        """Matches in UTF-8 text, in order, as they are asked for."""
        for match in self.pattern.finditer(source):
            group: bytes | None = match.group(self.pattern.groups)
            yield (group or b"").decode("utf-8", "replace")

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere."""
        return self.pattern.search(text.encode("utf-8", "replace")) is not None


def compile_css(text: str) -> CssSelector:
    """Compile, or raise `InvalidInput` that says what is wrong with ``text``."""
    check_length(text)
    grouped: dict[str, list[str]] = {}
    plain: dict[str, list[str]] = {}
    for arm in _split_arms(text):
        selector, below, take = _split_ending(arm)
        _compile_matcher(selector, text)  # before :is() around it forgives everything
        if take == "all text":
            plain.setdefault(take, []).append(selector)
        if below and take == "all text":  # the outermost, so that no text node is found twice
            selector = f":is({selector}):not(:is({selector}) *)"
        elif below:
            selector = f":is({selector}), :is({selector}) *"
        grouped.setdefault(take, []).append(selector)
    arms = []
    for take, all_ in grouped.items():
        matcher = _compile_matcher(", ".join(all_), text)
        within = _compile_matcher(", ".join(plain[take]), text) if take in plain else matcher
        arms.append(_Arm(matcher, take, within))
    return CssSelector(text, tuple(arms))


def outermost(matches: Sequence[turbohtml.Element]) -> list[turbohtml.Element]:
    """Those that stand in none of the others; ``matches`` are in document order."""
    kept: dict[turbohtml.Element, None] = {}
    for match in matches:
        if not any(above in kept for above in match.ancestors):
            kept[match] = None
    return list(kept)


def compile_xpath(text: str) -> XPathSelector:
    """Compile, or raise `InvalidInput`.

    turbohtml looks functions, prefixes and variables up only when it gets to them, so they are
    tried here one by one.
    """
    check_length(text)
    try:
        path = turbohtml.XPath(text)
        _try_names(_XPATH_STRING.sub("''", text))
    except ValueError as error:
        raise InvalidInput(f"{shortened(text)} is not an XPath expression: {error}") from error
    return XPathSelector(text, path)


def compile_regex(text: str) -> Regex:
    """Compile with at most one group, or raise `InvalidInput`."""
    check_length(text)
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
        raise InvalidInput(
            f"{shortened(text)} is not a regular expression: {said} "
            "(RE2 syntax: no look-around and no back-references)"
        ) from error
    if pattern.groups > 1:
        raise InvalidInput(
            f"{shortened(text)} has {pattern.groups} groups; keep the one that is wanted "
            "and write (?:...) for the others"
        )
    return Regex(text, pattern)


def check_length(text: str) -> None:
    """Refuse an empty selector, and one that nobody means."""
    if not text.strip():
        raise InvalidInput("is empty; write a selector")
    if len(text) > MAX_SELECTOR_CHARS:
        raise InvalidInput(f"is longer than {MAX_SELECTOR_CHARS} characters")


def _split_arms(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets and strings."""
    arms, depth = [""], 0
    for piece in _CSS_PIECE.findall(text):
        depth += (piece in ("[", "(")) - (piece in ("]", ")"))
        if piece == "," and depth == 0:
            arms.append("")
        else:
            arms[-1] += piece
    return arms


def _split_ending(arm: str) -> tuple[str, bool, str]:
    """The plain CSS selector of one arm, whether what is below its matches is meant, and what is
    taken of that."""
    arm = arm.strip()
    ending = _ENDING.search(arm)
    if arm[:1].isdigit():
        raise InvalidInput(
            f"{shortened(arm)} is not a CSS selector: no element begins with a digit"
        )
    if ending is None:
        return arm, False, "element"
    before = arm[: ending.start()]
    selector = before.rstrip()
    below = selector != before
    if ending[2] is not None:
        return selector or "*", below, f"@{ending[2].lower()}"
    below = below or not selector
    return selector or "*", below, "all text" if below else "text"


def _compile_matcher(selector: str, text: str) -> query.Matcher:
    try:
        return query.compile(selector)
    except turbohtml.SelectorSyntaxError as error:
        said = str(error).rpartition('": ')[2]
        hint = "; of ::pseudo-elements there are ::text and ::attr(name)" * ("::" in selector)
        raise InvalidInput(f"{shortened(text)} is not a CSS selector: {said}{hint}") from error


def _try_names(path: str) -> None:
    for name in _XPATH_VARIABLE.findall(path):
        raise ValueError(f"there are no variables here (${name})")
    path = path.replace("::", " :: ")
    for prefix in _XPATH_PREFIX.findall(path):
        _PROBE.xpath(f"//{prefix}:p")
    for name in set(_XPATH_CALL.findall(path)) - _NODE_TESTS - _OPERATORS:
        try:
            _PROBE.xpath(f"{name}()")
        except ValueError as error:
            if "unknown function" in str(error):
                raise


def _strings(result: Any) -> list[str]:
    return [text for text in result if isinstance(text, str)]


def _found(entry: turbohtml.Node | str) -> Found:
    if isinstance(entry, str | turbohtml.Element):
        return entry
    return entry.text or getattr(entry, "data", "")
