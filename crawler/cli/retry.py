"""`crawler retry`: failed pages are tried again."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crawler.cli import options
from crawler.cli.calls import connect, look_after, standing


def retry(
    name: options.Name,
    status: Annotated[
        str,
        typer.Option(
            "--status",
            metavar="CODE",
            help="only those of this HTTP status: 503, 5xx; 0: no answer",
        ),
    ] = "",
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="only those with this text in their reason"),
    ] = "",
    run: Annotated[
        int | None,
        typer.Option("--run", min=1, metavar="N", help="only if that is the latest run"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count them")] = False,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Try failed pages of the latest run again, all unless said. A run that was over goes on."""
    with connect(master) as client:
        done = client.retry(name, status=status, reason=reason, run=run, dry_run=dry_run)
        now = standing(look_after(client, name))
    pages = f"{done.pages:,} failed page{'' if done.pages == 1 else 's'}"
    if dry_run:
        told = f"{name} has {pages} like that in run {done.run}{now}; without --dry-run they are "
        told += "tried again"
    elif done.pages:
        told = f"{name} tries {pages} again in run {done.run}{now}"
    else:
        told = f"{name} has no failed page like that in run {done.run}{now}"
    print(told, file=sys.stderr)
