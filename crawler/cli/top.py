"""`crawler top`: the cluster at work, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import ls, nodes, options, terminal
from crawler.cli.calls import connect, short_node
from crawler.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from rich.console import Group

    from crawler.client import NodeStatus, ResourceStatus, SyncClient

_SPAN_S = 10.0


class Rates:
    """Pages per second of each resource, from what was done in the last ten seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[float, int]]] = {}

    def note(self, resource_id: str, at: float, done: int) -> float:
        """Remember how many pages were done by ``at``; the rate until then."""
        marks = self._seen.setdefault(resource_id, [])
        marks.append((at, done))
        while len(marks) > 2 and marks[1][0] <= at - _SPAN_S:
            marks.pop(0)
        (since, before) = marks[0]
        # A new run counts from zero again.
        return max(0.0, (done - before) / (at - since)) if at > since else 0.0


def top(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="one resource instead of all")
    ] = None,
    every: Annotated[float, typer.Option("--every", min=0.2, help="seconds between looks")] = 1.0,
    master: options.Master = options.DEFAULT_MASTER,
) -> None:
    """Watch crawls and nodes live. Piped: once, with the pace between two looks."""
    rates = Rates()
    with connect(master) as client:
        if not terminal.is_terminal():
            _look(client, name, rates)  # a rate needs two looks
            time.sleep(every)
            terminal.console().print(_look(client, name, rates))
            return
        _watch(client, name, rates, every)


def _watch(client: SyncClient, name: str | None, rates: Rates, every: float) -> None:
    from rich.live import Live
    from rich.text import Text

    console = terminal.console()
    with Live(console=console, screen=False, auto_refresh=False) as live:
        try:
            while True:
                try:
                    live.update(_look(client, name, rates), refresh=True)
                except (Unavailable, OutcomeUnknown) as error:  # a master that just died, say
                    live.update(Text(f"waiting: {error}", style="yellow"), refresh=True)
                time.sleep(every)
        except KeyboardInterrupt:
            return


def _look(client: SyncClient, name: str | None, rates: Rates) -> Group:
    from rich.console import Group
    from rich.text import Text

    found = client.resources() if name is None else (client.resource(name),)
    crawls = terminal.make_table(
        (*ls.COLUMNS[:5], ">PAGES/S", ">LEFT", *ls.COLUMNS[5:]), _rows(found, rates)
    )
    live_nodes = client.nodes()
    table = terminal.make_table(nodes.COLUMNS, [nodes.row(each) for each in live_nodes])
    return Group(Text(_headline(found, live_nodes), style="bold"), "", crawls, "", table)


def _rows(found: tuple[ResourceStatus, ...], rates: Rates) -> list[tuple[str, ...]]:
    now = time.monotonic()
    rows = []
    for each in found:
        done = each.progress.done if each.progress is not None else 0
        pending = each.progress.pending if each.progress is not None else 0
        row, rate = ls.row(each), rates.note(each.id, now, done)
        left = terminal.time_left(pending, rate).removeprefix("about ").removesuffix(" left")
        rows.append((*row[:5], f"{rate:.1f}", left, *row[5:]))
    return rows


def _headline(found: tuple[ResourceStatus, ...], live: tuple[NodeStatus, ...]) -> str:
    leader = next((short_node(each.id) for each in live if each.leader), "nobody")
    counts = [each.progress for each in found if each.progress is not None]
    done, known = sum(each.done for each in counts), sum(each.known for each in counts)
    return (
        f"{time.strftime('%H:%M:%S')}  {len(found)} crawls  {done:,}/{known:,} pages  "
        f"{sum(each.items for each in counts):,} items  {leader} leads"
    )
