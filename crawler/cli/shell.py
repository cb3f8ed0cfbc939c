"""`crawler shell`: a page to play with, in Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from crawler.cli import options, repl, terminal, try_page

if TYPE_CHECKING:
    from crawler.definition import Definition


class Page(Protocol):
    """An answer, as spiders get it."""

    @property
    def url(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class Shell(Protocol):
    """Page after page."""

    @property
    def page(self) -> Page: ...
    def fetch(self, url: str) -> Page: ...
    def read(self, rule: str | None, carry: Mapping[str, Any]) -> try_page.Extraction: ...
    def links(self, css: str = "a") -> list[str]: ...


def shell(
    url: Annotated[str, typer.Argument(metavar="URL", help="a page")],
    definition: Annotated[
        str | None,
        typer.Option("--definition", metavar="FILE", help="what try_rule() reads pages by"),
    ] = None,
    code: Annotated[
        str | None, typer.Option("-c", metavar="CODE", help="run this instead of asking for more")
    ] = None,
    settings: options.Settings = None,
    allow_private: options.Allow = None,
    config: options.Entrusted = None,
    spider: options.Spider = None,
) -> None:
    """Fetch a page and try selectors on it, in Python; what is piped in is run.

    `echo 'page.css("title::text").get()' | crawler shell https://example.org/`
    """
    from crawler.address import loopback_hosts
    from crawler.app.shell import open_shell
    from crawler.app.source import read_crawl
    from crawler.config import data_home, read_entrusted, read_networks
    from crawler.telemetry import logs

    hosts = loopback_hosts([try_page.host_of(url)])
    made, loaded = read_crawl(url if definition is None else definition, spider, settings or ())
    if code is None and not sys.stdin.isatty():
        code = sys.stdin.read()
    logs.configure("error")
    opening = open_shell(
        url,
        made,
        hosts=hosts,
        allow_private=read_networks(allow_private or ()),
        entrusted=read_entrusted(config),
        loaded=loaded,
    )
    with opening as opened:
        names = _names(opened, made)
        if code is not None:
            repl.run_script(code, names)
        else:
            repl.interact(names, _greeting(opened.page), data_home() / "shell-history")


def _names(shell: Shell, definition: Definition) -> dict[str, Any]:
    """What there is to work with. ``page`` in there is always the latest."""

    def fetch(url: str) -> Page:
        """Ask for a page, which is `page` then: a URL, or a reference of this page."""
        names["page"] = shell.fetch(url)
        return shell.page

    def try_rule(name: str | None = None, **carry: Any) -> None:
        """Show what the definition makes of `page`, as `crawler try` does; by name: the rule or
        callback that a link would have sent it to, with what it would have carried."""
        try_page.show(shell.read(name, carry), definition)

    names: dict[str, Any] = {
        "__name__": "__console__",
        "page": shell.page,
        "fetch": fetch,
        "links": shell.links,
        "try_rule": try_rule,
    }
    return names


def _greeting(page: Page) -> str:
    said = f"<{page.status} {page.url}>  {page.content_type}, {len(page.body):,} bytes"
    return f"""{terminal.safe(said)}
  page            .css() .xpath() .re() .json() .follow(); .url .status .headers .text .body .meta
  fetch(url)      another page; the references of this one will do
  links("a")      where the links lead that a selector finds
  try_rule(name)  what the definition makes of it, as `crawler try` shows it
Ctrl-D ends."""
