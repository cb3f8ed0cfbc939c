"""`crawler items`: what a crawl has found."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crawler.cli import options
from crawler.cli.calls import connect

Output = Annotated[
    str | None, typer.Option("-o", metavar="FILE", help="a file: .jsonl, .json or .csv")
]


def items(
    name: options.Name,
    output: Output = None,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Export what a crawl found. JSON lines, unless -o says otherwise."""
    from crawler.cli.formats import Format, format_of, save, write

    kind = Format.JSONL if output is None else format_of(output)
    with connect(master) as client:
        found = client.items(name)
        if output is None:
            write(found, sys.stdout, kind)
            return
        count = save(found, output, kind)
    print(f"{count:,} items in {output}", file=sys.stderr)
