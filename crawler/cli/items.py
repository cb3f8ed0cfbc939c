"""`crawler items`: what a crawl has found."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from crawler.cli import options
from crawler.cli.calls import connect
from crawler.model import ItemRecord

Output = Annotated[
    str | None, typer.Option("-o", metavar="FILE", help="a file: .jsonl, .json, .csv or .parquet")
]


@dataclass(frozen=True, slots=True)
class Found:
    """One snapshot. ``cursor`` stands behind it; ``definition`` is what is crawled by, as JSON."""

    items: Iterable[ItemRecord]
    cursor: str
    definition: Mapping[str, Any] | None


def items(
    name: options.Name,
    output: Output = None,
    run: options.Run = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="CURSOR", help="only what came after that export"),
    ] = None,
    since_last: Annotated[
        str | None,
        typer.Option("--since-last", metavar="FILE", help="only what is new; FILE remembers"),
    ] = None,
    store: options.Kept = None,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Export what a crawl found, as it is at this moment. JSON lines, unless -o says otherwise.

    `crawler items shop --since-last shop.cursor -o new.jsonl`
    """
    from crawler.cli import cursors
    from crawler.cli.formats import Format, check_target, format_of

    if output is not None:
        check_target(output)
    typed = output is not None and format_of(output) is Format.PARQUET
    with _found(name, run, cursors.read(since, since_last), typed, store, master) as found:
        export(found.items, output, found.definition)
    if since_last is not None:
        cursors.keep(since_last, found.cursor)
    elif found.cursor and (since is not None or output is not None):
        print(f"what comes later: --since {found.cursor}", file=sys.stderr)


def export(
    found: Iterable[ItemRecord], output: str | None, definition: Mapping[str, Any] | None
) -> None:
    """To the file, or as JSON lines to standard output; either way it is there on return."""
    from crawler.cli.formats import Format, format_of, save, write
    from crawler.cli.parquet import hints_of

    if output is None:
        write(found, sys.stdout, Format.JSONL)
        sys.stdout.flush()
        return
    count = save(found, output, format_of(output), hints_of(definition))
    print(f"{count:,} items in {output}", file=sys.stderr)


@contextmanager
def _found(
    name: str, run: int | None, since: str, typed: bool, store: str | None, master: str
) -> Iterator[Found]:
    if store is None:
        with connect(master) as client:
            plan = client.export(name, since=since, run=run)
            definition = client.resource(name).definition if typed else None
            yield Found(client.exported(name, plan), plan.cursor, definition)
        return
    import asyncio

    from crawler.app.kept import exported, kept_export
    from crawler.cli.kept import drawn
    from crawler.config import read_store
    from crawler.telemetry import logs

    logs.configure("error")
    url = read_store(store)
    kept = asyncio.run(kept_export(url, name, since, run))
    with closing(drawn(exported(url, kept))) as found:
        yield Found(found, kept.cursor, kept.definition)
