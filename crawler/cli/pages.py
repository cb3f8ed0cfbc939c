"""`crawler pages`: what became of each URL."""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import islice
from typing import Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect
from crawler.errors import InvalidInput
from crawler.model import PageRecord, PageState

COLUMNS = ("URL", "STATE", ">STATUS", ">ATTEMPTS", "REASON")


def pages(
    name: options.Name,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATE|CODE", help="done, failed, pending, excluded, or 404"
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="at most so many")] = 1000,
    run: options.Run = None,
    store: options.Kept = None,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List a crawl's URLs: what became of them, and why.

    Piped: URL, state, HTTP status, attempts and reason, with tabs between.
    """
    state, code = read_status(status)
    if store is not None:
        found = _kept(store, name, run, state, code, limit + 1)
    else:
        with connect(master) as client:
            found = list(islice(client.pages(name, run=run, state=state, status=code), limit + 1))
    shown = found[:limit]
    if json_:
        terminal.print_json([as_json(each) for each in shown])
    else:
        rows = [(p.url, p.state, p.status or "-", p.attempts, p.reason) for p in shown]
        terminal.print_rows(COLUMNS, rows)
    if len(found) > limit:
        print(f"there are more than {limit}; see --limit", file=sys.stderr)


def _kept(
    store: str,
    name: str,
    run: int | None,
    state: PageState | None,
    status: int | None,
    limit: int,
) -> list[PageRecord]:
    from crawler.app.kept import kept_pages
    from crawler.cli.kept import drawn
    from crawler.config import read_store
    from crawler.telemetry import logs

    logs.configure("error")
    with closing(drawn(kept_pages(read_store(store), name, run, state, status))) as pages:
        return list(islice(pages, limit))


def read_status(text: str | None) -> tuple[PageState | None, int | None]:
    """A state or an HTTP status; at most one of them is not None."""
    if text is None:
        return None, None
    if text.isascii() and text.isdecimal() and len(text) == 3:
        return None, int(text)
    try:
        return PageState(text), None
    except ValueError as error:
        states = ", ".join(PageState)
        raise InvalidInput(f"--status: {states} or an HTTP status (got {text!r})") from error
