"""`crawler stats`: what a run came to, in figures."""

from __future__ import annotations

from crawler.cli import options, terminal
from crawler.cli.calls import connect
from crawler.model import Stats


def stats(
    name: options.Name,
    run: options.Run = None,
    store: options.Kept = None,
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """What a run came to so far, in figures that are called as Scrapy calls them.

    Piped: name and figure, with a tab between.
    """
    found = _kept(store, name, run) if store is not None else _asked(master, name, run)
    if json_:
        terminal.print_json(found)
    else:
        terminal.print_rows(("NAME", ">FIGURE"), list(rows(found)))


def rows(found: Stats) -> list[tuple[str, str]]:
    """Name and figure, as people read them."""
    return [
        (name, value if isinstance(value, str) else f"{value:,}") for name, value in found.items()
    ]


def _asked(master: str, name: str, run: int | None) -> Stats:
    with connect(master) as client:
        return client.stats(name, run=run)


def _kept(store: str, name: str, run: int | None) -> Stats:
    import asyncio

    from crawler.app.kept import kept_stats
    from crawler.config import read_store

    return asyncio.run(kept_stats(read_store(store), name, run))
