"""`crawler pages`: what became of each URL."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from itertools import islice
from typing import Annotated

import typer

from crawler.cli import options, story, terminal
from crawler.cli.calls import as_json, connect
from crawler.cli.items import Output
from crawler.errors import InvalidInput
from crawler.model import PageRecord, PageState

_KEY = re.compile("[0-9a-f]{32}")
_SHOWN = 1000
_KINDS = {"int": "int", "float": "float"}  # of the fields of a page; all others are text
COLUMNS = ("URL", "STATE", ">STATUS", ">ATTEMPTS", "REASON")


def pages(
    name: options.Name,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", metavar="STATE|CODE", help="done, failed, pending, excluded, or 404"
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="tell all about this one, attempt by attempt"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY", help="the same of a page by its key, which --json has"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="at most so many  [default: 1000; with -o, all]"),
    ] = None,
    output: Output = None,
    run: options.Run = None,
    store: options.Kept = None,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List a crawl's URLs: what became of them, and why; or, with --url, the whole story of one.

    Piped: URL, state, HTTP status, attempts and reason, with tabs between.
    """
    state, code = read_status(status)
    if url is not None or key is not None:
        if status is not None or output is not None or limit is not None:
            raise InvalidInput("--url: it tells of one page; leave --status, --limit and -o away")
        one = story.find(name, url or "", _checked(url, key), run, store, master)
        story.tell(one, as_json=json_)
        return
    if output is not None:
        from crawler.cli.formats import check_target

        check_target(output)
    with _found(name, run, state, code, store, master, pinned=output is not None) as source:
        if output is not None:
            export(islice(source, limit), output)
            return
        limit = limit or _SHOWN
        found = list(islice(source, limit + 1))
    shown = found[:limit]
    if json_:
        terminal.print_json([as_json(each) for each in shown])
    else:
        rows = [(p.url, p.state, p.status or "-", p.attempts, p.reason) for p in shown]
        terminal.print_rows(COLUMNS, rows)
    if len(found) > limit:
        print(f"there are more than {limit}; see --limit", file=sys.stderr)


def _checked(url: str | None, key: str | None) -> str:
    """The key ("": none is given). Raises `InvalidInput`."""
    if key is None:
        return ""
    if url is not None:
        raise InvalidInput("--url and --key exclude each other; give one of them")
    if _KEY.fullmatch(key) is None:
        raise InvalidInput(f"--key: 32 hexadecimal digits, as --json has them (got {key!r})")
    return key


def export(found: Iterable[PageRecord], output: str) -> None:
    """To the file: each URL once, in the order found, as it stood when it was read."""
    from crawler.cli.formats import format_of, save_records
    from crawler.cli.parquet import Kind

    hints = {each.name: Kind(_KINDS.get(str(each.type), "text")) for each in fields(PageRecord)}
    records = (as_json(page) for page in found)
    count = save_records(records, output, format_of(output), hints)
    print(f"{count:,} pages in {output}", file=sys.stderr)


@contextmanager
def _found(
    name: str,
    run: int | None,
    state: PageState | None,
    status: int | None,
    store: str | None,
    master: str,
    *,
    pinned: bool,
) -> Iterator[Iterable[PageRecord]]:
    """``pinned``: of one run, also where the next begins while they are read."""
    if store is None:
        with connect(master) as client:
            if run is None and pinned and (runs := client.runs(name).runs):
                run = runs[-1].run
            yield client.pages(name, run=run, state=state, status=status)
        return
    from crawler.app.kept import kept_pages
    from crawler.cli.kept import drawn
    from crawler.config import read_store
    from crawler.telemetry import logs

    logs.configure("error")
    with closing(drawn(kept_pages(read_store(store), name, run, state, status))) as found:
        yield found


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
