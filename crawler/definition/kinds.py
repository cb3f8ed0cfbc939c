"""What in a rule does not go together: HTML with JSON, each with the whole page, and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from crawler.definition.templates import compile_template, strings_of

Path = tuple[str | int, ...]
Conflict = tuple[Path, str]
_NOT_ON_HTML: Final = (
    'is for pages that are JSON: set kind = "json" on the rule, or take jsonld for the JSON-LD of '
    "an HTML page"
)
FILE_FIELDS: Final = ("url", "path", "sha256", "bytes", "content_type")  # of kind file
STRUCTURED: Final = "structured"  # the field that ``structured = true`` adds


class Selecting(Protocol):
    """Something with selectors."""

    @property
    def re(self) -> str | None: ...
    @property
    def xpath(self) -> str | None: ...
    def given(self) -> list[str]: ...


class Change(Selecting, Protocol):
    """What becomes of one value of a query."""


class Next(Selecting, Protocol):
    """Pagination."""

    @property
    def query(self) -> Mapping[str, Selecting] | None: ...
    @property
    def join(self) -> bool: ...


class Follow(Selecting, Protocol):
    """Links to other pages."""

    @property
    def url(self) -> str | None: ...
    @property
    def carry(self) -> Mapping[str, Selecting]: ...
    @property
    def method(self) -> str | None: ...
    @property
    def form(self) -> Mapping[str, str] | None: ...
    @property
    def json_body(self) -> Any: ...


class Browsing(Protocol):
    """How pages are shown."""

    @property
    def load(self) -> Sequence[str]: ...
    @property
    def wait_for(self) -> str | None: ...


class Rule(Protocol):
    """What is looked at here of a rule."""

    @property
    def kind(self) -> str: ...
    @property
    def fetcher(self) -> str: ...
    @property
    def browser(self) -> Browsing: ...
    @property
    def each(self) -> Selecting | None: ...
    @property
    def follow(self) -> Sequence[Follow]: ...
    @property
    def next(self) -> Next | None: ...
    @property
    def item(self) -> Mapping[str, Selecting]: ...
    @property
    def structured(self) -> bool: ...


def in_json(rule: Mapping[str, Any], is_step: Callable[[str], bool]) -> dict[str, Any]:
    """The table of a rule of kind json with its bare strings as JMESPath, but for the steps of a
    query (``+1``). What is not as it should be is left as it is, to be refused."""
    spoken = dict(rule)
    for name in ("each", "next"):
        if name in spoken:
            spoken[name] = _as_json(spoken[name])
    if isinstance(spoken.get("item"), Mapping):
        spoken["item"] = _all_as_json(spoken["item"])
    if isinstance(spoken.get("follow"), list):
        spoken["follow"] = [_follow_as_json(follow) for follow in spoken["follow"]]
    if isinstance(spoken.get("next"), Mapping) and isinstance(spoken["next"].get("query"), Mapping):
        query = {
            name: value if isinstance(value, str) and is_step(value) else _as_json(value)
            for name, value in spoken["next"]["query"].items()
        }
        spoken["next"] = {**spoken["next"], "query": query}
    return spoken


def _follow_as_json(follow: Any) -> Any:
    if isinstance(follow, Mapping) and isinstance(follow.get("carry"), Mapping):
        return {**follow, "carry": _all_as_json(follow["carry"])}
    return _as_json(follow)


def _all_as_json(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: _as_json(value) for name, value in entries.items()}


def _as_json(value: Any) -> Any:
    return {"json": value} if isinstance(value, str) else value


def conflicts(rule: Rule) -> Iterator[Conflict]:
    """The path below the rule and the reason of everything that makes no sense together."""
    if rule.kind == "file":
        yield from _unread(rule)
        return
    for path, selecting in _selectings(rule):
        yield from _strangers(rule, path, selecting)
    yield from _not_shown(rule)
    if rule.each is not None:
        yield from _beyond_each(rule)
    if rule.next is not None and rule.next.join:
        yield from _never_joined(rule)
    if rule.structured:
        yield from _unstructured(rule)
    for at, follow in enumerate(rule.follow):
        yield from _unsendable(("follow", at), follow)
        yield from _unnamed(rule, ("follow", at), follow)


def _unread(rule: Rule) -> Iterator[Conflict]:
    """What would have to look into a file."""
    for name, given in (
        ("each", rule.each),
        ("follow", rule.follow),
        ("next", rule.next),
        (STRUCTURED, rule.structured),
    ):
        if given:
            yield (name,), 'reads pages, and kind = "file" only keeps them; leave one of them out'
    for name, value in rule.item.items():
        if name in FILE_FIELDS:
            yield ("item", name), "is a field that every file has; give yours another name"
        elif value.given() != ["carry"] or value.re is not None:
            yield (
                ("item", name),
                'is looked for in the file, which kind = "file" only keeps; take carry = "…"',
            )


def _selectings(rule: Rule) -> Iterator[tuple[Path, Selecting]]:
    if rule.each is not None:
        yield ("each",), rule.each
    if rule.next is not None:
        yield ("next",), rule.next
        for name, change in (rule.next.query or {}).items():
            yield ("next", "query", name), change
    yield from _within(rule)


def _within(rule: Rule) -> Iterator[tuple[Path, Selecting]]:
    """What ``each`` is about."""
    for at, follow in enumerate(rule.follow):
        yield ("follow", at), follow
        for name, value in follow.carry.items():
            yield ("follow", at, "carry", name), value
    for name, value in rule.item.items():
        yield ("item", name), value


def _strangers(rule: Rule, path: Path, selecting: Selecting) -> Iterator[Conflict]:
    """Selectors of another kind of page."""
    for name in selecting.given():
        if rule.kind == "html" and name == "json":
            yield (*path, name), _NOT_ON_HTML
        elif rule.kind == "json" and name in ("css", "xpath", "jsonld"):
            yield (
                (*path, name),
                'is for HTML pages: write json = "…" (JMESPath), or leave kind = "json" out',
            )
    if rule.kind == "json" and selecting.re is not None and not selecting.given():
        yield (*path, "re"), "needs a json beside it that finds the text it is for"


def _beyond_each(rule: Rule) -> Iterator[Conflict]:
    """What looks at more than one match of ``each``."""
    if not rule.item and not rule.follow:
        yield ("each",), "is for item and follow; the rule has neither"
    if rule.next is not None and rule.next.join:
        yield (
            ("next", "join"),
            "joins one item over many pages, and each makes many of one; keep one of them",
        )
    if rule.structured:
        yield (
            (STRUCTURED,),
            "is about the whole page, and each about parts of it; keep one of them",
        )
    for path, selecting in _within(rule):
        if rule.kind == "html" and selecting.re is not None and not selecting.given():
            yield (*path, "re"), "looks at the whole page; put css or xpath beside it"
        if "jsonld" in selecting.given():
            yield (
                (*path, "jsonld"),
                "is about the whole page; each is for what repeats on it",
            )
        if (selecting.xpath or "").lstrip("( ").startswith("/"):
            yield (
                (*path, "xpath"),
                "begins with / and leaves the match of each; begin with ./ or .//",
            )


def _not_shown(rule: Rule) -> Iterator[Conflict]:
    if rule.fetcher == "browser":
        if rule.kind == "json":
            yield ("fetcher",), 'browser is for HTML pages; leave it out, or kind = "json"'
    elif rule.browser.load or rule.browser.wait_for is not None:
        yield ("browser",), 'says how pages are shown: set fetcher = "browser" on the rule'


def _never_joined(rule: Rule) -> Iterator[Conflict]:
    if not rule.item and not rule.structured:
        yield ("next", "join"), "joins items; the rule has no item"


def _unstructured(rule: Rule) -> Iterator[Conflict]:
    if rule.kind == "json":
        yield (STRUCTURED,), "is for HTML pages; leave it out, or kind"
    if STRUCTURED in rule.item:
        yield (
            ("item", STRUCTURED),
            "is the field that structured = true adds; give yours another name",
        )


def _unsendable(path: Path, follow: Follow) -> Iterator[Conflict]:
    bodies = [name for name in ("form", "json_body") if getattr(follow, name) is not None]
    if len(bodies) > 1:
        yield (*path, "form"), "and json are two bodies of one request; keep one of them"
    if bodies and follow.method == "GET":
        yield (
            (*path, "method"),
            "GET sends no body: leave method out, or put the values into the query of url",
        )


def _unnamed(rule: Rule, path: Path, follow: Follow) -> Iterator[Conflict]:
    """Placeholders for which there is no value."""
    if rule.kind == "json":
        return
    texts = [
        *(("url", text) for text in (follow.url,) if text is not None),
        *(("form", text) for text in (follow.form or {}).values()),
        *(("json_body", text) for text in strings_of(follow.json_body)),
    ]
    for where, text in texts:
        for name in compile_template(text).names:
            if name not in follow.carry:
                way = f'add carry = {{ {name.partition(".")[0]} = "…" }} with its selector'
                yield (*path, where), f"{{{name}}} stands for a carried value: {way}"
