"""`crawler ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node
from crawler.errors import InvalidInput
from crawler.model import State

if TYPE_CHECKING:
    from crawler.client import ResourceStatus

COLUMNS = ("NAME", "STATE", "WORKER", ">DONE", ">KNOWN", ">FAILED", ">ITEMS", "REASON")


def ls(
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="only those in this state")
    ] = None,
    contains: Annotated[
        str,
        typer.Option("--contains", metavar="TEXT", help="only those with this in their name"),
    ] = "",
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List the crawls: names when piped, a table otherwise."""
    wanted = None if state is None else read_state(state)
    with connect(master) as client:
        found = client.resources(wanted, contains=contains)
    if json_:
        terminal.print_json([as_json(each) for each in found])
    else:
        terminal.print_rows(COLUMNS, [row(each) for each in found], [each.name for each in found])


def read_state(text: str) -> State:
    """A state by its name, or `InvalidInput` with all of them."""
    try:
        return State(text)
    except ValueError as error:
        raise InvalidInput(f"--state: one of {', '.join(State)} (got {text!r})") from error


def row(found: ResourceStatus) -> tuple[str, ...]:
    """A resource under `COLUMNS`."""
    counts = found.progress
    figures = (
        (counts.done, counts.known, counts.failed, counts.items) if counts is not None else None
    )
    return (
        found.name,
        found.state,
        short_node(found.assigned_node) or "-",
        *(("-",) * 4 if figures is None else map(terminal.count, figures)),
        (found.reason if found.reason != found.state else "") or found.progress_error,
    )
