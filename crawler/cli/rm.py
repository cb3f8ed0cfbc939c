"""`crawler rm`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crawler.cli import options
from crawler.cli.calls import connect


def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="names of resources")],
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Delete crawls with all their pages and items."""
    with connect(master) as client:
        for name in names:
            client.delete(name)
            print(f"{name} deleted", file=sys.stderr)
