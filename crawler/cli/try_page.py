"""`crawler try`: one page, and field by field what the rules make of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from crawler.cli import options, terminal
from crawler.errors import InvalidInput

if TYPE_CHECKING:
    from crawler.definition import Definition
    from crawler.model import Item

COLUMNS = ("FIELD", "VALUE", ">MATCHES", "SELECTOR", "PROBLEM")
_MAX_LINKS = 20
_MAX_MATCHES = 10
_MAX_VALUE = 100


class Trace(Protocol):
    """How one field came about."""

    @property
    def field(self) -> str: ...
    @property
    def selector(self) -> str: ...
    @property
    def matched(self) -> int: ...
    @property
    def value(self) -> Any: ...
    @property
    def problem(self) -> str: ...
    @property
    def match(self) -> int | None: ...


class Link(Protocol):
    """A link that a rule follows."""

    @property
    def url(self) -> str: ...
    @property
    def to(self) -> str | None: ...
    @property
    def method(self) -> str: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def carry(self) -> Mapping[str, Any]: ...


class Part(Protocol):
    """An item that goes on on the next page."""

    @property
    def fields(self) -> Mapping[str, Any]: ...


class Extraction(Protocol):
    """What a page yielded."""

    @property
    def rule(self) -> str | None: ...
    @property
    def items(self) -> Sequence[Item]: ...
    @property
    def links(self) -> Sequence[Link]: ...
    @property
    def errors(self) -> Sequence[str]: ...
    @property
    def trace(self) -> Sequence[Trace]: ...
    @property
    def part(self) -> Part | None: ...


def try_page(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="a definition, a spider.py, or the page alone")
    ],
    url: Annotated[str | None, typer.Argument(metavar="URL", help="a page")] = None,
    rule: Annotated[
        str | None,
        typer.Option("--rule", help="the rule or callback that a link would have sent it to"),
    ] = None,
    carry: Annotated[
        list[str] | None,
        typer.Option("--carry", metavar="NAME=VALUE", help="what that link would have carried"),
    ] = None,
    settings: options.Settings = None,
    allow_private: options.Allow = None,
    config: options.Entrusted = None,
    spider: options.Spider = None,
    json_: options.Json = False,
) -> None:
    """Fetch one page and show what each field of its rule yields, or the callback of a spider.

    A page alone is read as `crawler run` reads pages without rules.
    """
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app import trial
    from crawler.app.source import read_crawl
    from crawler.app.trial_process import as_json
    from crawler.config import read_entrusted, read_networks
    from crawler.telemetry import logs

    definition, loaded = read_crawl(source, spider, settings or ())
    logs.configure("error")
    if url is None and not source.startswith(("http:", "https:")):
        raise InvalidInput(f"URL: which page? crawler try {source} URL")
    url = url or source
    hosts = loopback_hosts([host_of(url)])
    networks = read_networks(allow_private or ())
    found = uvloop.run(
        trial.try_page(
            definition,
            url,
            rule=rule,
            carry=dict(map(_named, carry or ())),
            hosts=hosts,
            allow_private=networks,
            entrusted=read_entrusted(config),
            loaded=loaded,
        )
    )
    if json_:
        terminal.print_json(as_json(found))
    else:
        show(found, definition)


def host_of(url: str) -> str:
    """``host`` or ``host:port`` as the user typed it; `InvalidInput` if there is none."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"{url}: expected a URL like https://example.org/")
    return parts.netloc.rpartition("@")[2]


def _named(given: str) -> tuple[str, Any]:
    """``rank=3``: a name, and a value as JSON or, where it is none, as text."""
    name, mark, value = given.partition("=")
    if not mark or not name.isidentifier():
        raise InvalidInput(f"--carry: write NAME=VALUE, like category=lamps (got {given!r})")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def show(found: Extraction, definition: Definition) -> None:
    """Print what a page yielded, for a person."""
    if found.rule is None:
        names = ", ".join(each.name for each in definition.rules if each.name)
        print("no rule takes this page" + (f"; --rule tries one of: {names}" if names else ""))
        return
    print(f"rule {terminal.safe(found.rule) or '(all pages)'}: {len(found.items)} items, "
          f"{len(found.links)} links")  # fmt: skip
    if found.trace:
        _show_trace(found.trace)
    else:
        for name, value in [pair for item in found.items for pair in item.fields.items()]:
            print(f"{terminal.safe(name)}: {terminal.safe(_short(value))}")
    if found.part is not None:
        print("the item goes on on the next page, and is written with the last")
    for link in found.links[:_MAX_LINKS]:
        print(_told(link))
    if len(found.links) > _MAX_LINKS:
        print(f"→ and {len(found.links) - _MAX_LINKS} more")
    for error in found.errors:
        print(f"! {terminal.safe(error)}")


def _show_trace(trace: Sequence[Trace]) -> None:
    """One table for the page, then one for each match."""
    shown = 0
    for match, entries in itertools.groupby(trace, key=lambda each: each.match):
        shown += match is not None
        if shown > _MAX_MATCHES:
            print(f"and more matches; --json shows all (first {_MAX_MATCHES} here)")
            return
        if match is not None:
            print(f"match {match}:")
        rows = [
            (each.field, _short(each.value), each.matched, each.selector, each.problem)
            for each in entries
        ]
        terminal.console().print(terminal.make_table(COLUMNS, rows))


def _told(link: Link) -> str:
    sent = "" if link.method in ("GET", "") else f"{link.method} "
    body = f"  {terminal.safe(_short(_text(link.body)))}" if link.body is not None else ""
    return f"→ {sent}{terminal.safe(link.url)}{body}" + (f"  to {link.to}" if link.to else "")


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"
