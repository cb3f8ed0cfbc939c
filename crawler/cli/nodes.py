"""`crawler nodes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.cli import options, terminal
from crawler.cli.calls import as_json, connect, short_node

if TYPE_CHECKING:
    from crawler.client import NodeStatus

COLUMNS = ("NODE", "ADDRESS", "ROLE", ">PAGES NOW", ">CRAWLS", ">UP", "VERSION")


def nodes(
    master: options.Master = options.DEFAULT_MASTER,
    json_: options.Json = False,
) -> None:
    """List masters and workers: who leads, who has how much to do. Names when piped."""
    with connect(master) as client:
        found = client.nodes()
    if json_:
        terminal.print_json([as_json(each) for each in found])
    else:
        names = [short_node(each.id) for each in found]
        terminal.print_rows(COLUMNS, [row(each) for each in found], names)


def row(node: NodeStatus) -> tuple[str, ...]:
    """A node under `COLUMNS`."""
    return (
        short_node(node.id),
        node.address,
        role(node),
        terminal.count(node.active),
        terminal.count(node.resources),
        terminal.duration(node.uptime_s),
        node.version,
    )


def role(node: NodeStatus) -> str:
    """What it is, and what is unusual about it."""
    words = ["leader" if node.leader else "master" if "master" in node.service else "worker"]
    if node.drained:
        words.append("drained")
    if not node.native:
        words.append("foreign")
    if node.unsigned:
        words.append("unsigned")
    if node.trouble:
        words.append(node.trouble)
    return ", ".join(words)
