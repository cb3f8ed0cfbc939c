"""`crawler drain`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crawler.cli import options
from crawler.cli.calls import connect, full_node, short_node


def drain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="worker-2, or just 2")],
    undo: Annotated[bool, typer.Option("--undo", help="let it have work again")] = False,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Take all work from a worker. It gets no more, until --undo."""
    wanted = full_node(node)
    with connect(master, list_with="nodes") as client:
        client.drain(wanted, undo=undo)
    said = "may have work again" if undo else "gets no more work; what it had goes to others"
    print(f"{short_node(wanted)} {said}", file=sys.stderr)
