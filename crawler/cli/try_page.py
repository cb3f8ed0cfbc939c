"""`crawler try`: one page, and field by field what the rules make of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from crawler.cli import options, terminal
from crawler.errors import InvalidInput

if TYPE_CHECKING:
    from crawler.definition import Definition
    from crawler.model import Item

COLUMNS = ("FIELD", "VALUE", ">MATCHES", "SELECTOR", "PROBLEM")
_MAX_LINKS = 20
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


class Link(Protocol):
    """A link that a rule follows."""

    @property
    def url(self) -> str: ...
    @property
    def to(self) -> str | None: ...


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


def try_page(
    source: Annotated[str, typer.Argument(metavar="FILE", help="a definition")],
    url: Annotated[str, typer.Argument(metavar="URL", help="a page")],
    rule: Annotated[
        str | None, typer.Option("--rule", help="as if a link had sent the page to this rule")
    ] = None,
    settings: options.Settings = None,
    allow_private: options.Allow = None,
    config: options.Entrusted = None,
    json_: options.Json = False,
) -> None:
    """Fetch one page and show what each field of its rule yields."""
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app import here
    from crawler.app.source import read_definition
    from crawler.config import read_entrusted, read_networks
    from crawler.telemetry import logs

    definition = read_definition(source, settings or ())
    _check_rule(definition, rule)
    logs.configure("error")
    hosts = loopback_hosts([host_of(url)])
    networks = read_networks(allow_private or "")
    found: Extraction = uvloop.run(
        here.try_page(
            definition,
            url,
            rule=rule,
            hosts=hosts,
            allow_private=networks,
            entrusted=read_entrusted(config),
        )
    )
    if json_:
        terminal.print_json(_as_json(found))
    else:
        _show(found, definition)


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


def _check_rule(definition: Definition, rule: str | None) -> None:
    names = [each.name for each in definition.rules if each.name]
    if rule is not None and rule not in names:
        raise InvalidInput(f"--rule: there is {', '.join(names) or 'none'} (got {rule!r})")


def _show(found: Extraction, definition: Definition) -> None:
    if found.rule is None:
        names = ", ".join(each.name for each in definition.rules if each.name)
        print("no rule takes this page" + (f"; --rule tries one of: {names}" if names else ""))
        return
    print(f"rule {terminal.safe(found.rule) or '(all pages)'}: {len(found.items)} items, "
          f"{len(found.links)} links")  # fmt: skip
    if found.trace:
        rows = [
            (each.field, _short(each.value), each.matched, each.selector, each.problem)
            for each in found.trace
        ]
        terminal.console().print(terminal.make_table(COLUMNS, rows))
    else:
        for name, value in [pair for item in found.items for pair in item.fields.items()]:
            print(f"{terminal.safe(name)}: {terminal.safe(_short(value))}")
    for link in found.links[:_MAX_LINKS]:
        print(f"→ {terminal.safe(link.url)}" + (f"  to {link.to}" if link.to else ""))
    if len(found.links) > _MAX_LINKS:
        print(f"→ and {len(found.links) - _MAX_LINKS} more")
    for error in found.errors:
        print(f"! {terminal.safe(error)}")


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 1] + "…"


def _as_json(found: Extraction) -> dict[str, Any]:
    return {
        "rule": found.rule,
        "items": [dataclasses.asdict(item) for item in found.items],
        "links": [{"url": link.url, "to": link.to} for link in found.links],
        "errors": list(found.errors),
        "fields": [
            {
                "field": each.field,
                "value": each.value,
                "matched": each.matched,
                "selector": each.selector,
                "problem": each.problem,
            }
            for each in found.trace
        ],
    }
