"""`crawler items`: what a crawl has found."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from crawler.cli import options
from crawler.cli.calls import connect
from crawler.model import ItemRecord

Output = Annotated[
    str | None, typer.Option("-o", metavar="FILE", help="a file: .jsonl, .json or .csv")
]


def items(
    name: options.Name,
    output: Output = None,
    run: options.Run = None,
    store: options.Kept = None,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Export what a crawl found. JSON lines, unless -o says otherwise."""
    from crawler.cli.formats import check_target

    if output is not None:
        check_target(output)
    with _found(name, run, store, master) as found:
        export(found, output)


def export(found: Iterable[ItemRecord], output: str | None) -> None:
    """To the file, or as JSON lines to standard output."""
    from crawler.cli.formats import Format, format_of, save, write

    if output is None:
        write(found, sys.stdout, Format.JSONL)
        return
    count = save(found, output, format_of(output))
    print(f"{count:,} items in {output}", file=sys.stderr)


@contextmanager
def _found(
    name: str, run: int | None, store: str | None, master: str
) -> Iterator[Iterable[ItemRecord]]:
    if store is None:
        with connect(master) as client:
            yield client.items(name, run=run)
        return
    from crawler.app.kept import kept_items
    from crawler.cli.kept import drawn
    from crawler.config import read_store
    from crawler.telemetry import logs

    logs.configure("error")
    with closing(drawn(kept_items(read_store(store), name, run))) as found:
        yield found
