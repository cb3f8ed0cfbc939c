"""What commands print: tables with colour for people, names for pipes, JSON when asked."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATE_STYLES = {
    "pending": "yellow",
    "assigned": "cyan",
    "running": "green",
    "paused": "magenta",
    "finished": "bright_black",
    "stopped": "bright_black",
    "error": "bold red",
    "done": "green",
    "failed": "red",
    "excluded": "bright_black",
}


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def safe(text: object) -> str:
    """Text from outside without control characters, which could rewrite the terminal."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text)
    )


def print_json(value: Any) -> None:
    """One JSON document, ordered as it comes; what could rewrite the terminal is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    print(
        "".join(
            each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
        )
    )


def console(*, stderr: bool = False) -> Console:
    """A terminal to draw on; a file or a pipe takes lines of any width."""
    from rich.console import Console

    piped = not (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=1000 if piped else None)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table; cells that name a state get its colour. Columns in `>` form align right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left")
    for row in rows:
        cells = [safe(cell) for cell in row]
        table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in cells))
    return table


def print_rows(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    names: Iterable[str] | None = None,
) -> None:
    """The table on a terminal, otherwise one name a line; without names, the cells of a row with
    tabs between."""
    if not is_terminal():
        for line in names if names is not None else ("\t".join(map(safe, row)) for row in rows):
            print(line)
    elif rows:
        console().print(make_table(columns, rows))
    else:
        print("none", file=sys.stderr)


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Unified difference of two canonical definitions as indented JSON, without file headers. The
    order of an item's fields is part of a definition."""

    def lines(value: Mapping[str, Any] | None) -> list[str]:
        if value is None:
            return []
        return json.dumps(value, indent=2, ensure_ascii=False).splitlines()

    found = list(difflib.unified_diff(lines(before), lines(after), lineterm="", n=2))
    return found[2:]


def print_difference(lines: Iterable[str], *, stderr: bool = False) -> None:
    """Removed red, added green, where there is colour."""
    from rich.text import Text

    styles = {"-": "red", "+": "green", "@": "cyan"}
    out = console(stderr=stderr)
    for line in lines:
        out.print(Text(safe(line), style=styles.get(line[:1], "")), soft_wrap=True)


def warn(source: str, doubts: Iterable[str]) -> None:
    """Say on standard error what is hardly meant."""
    for doubt in doubts:
        print(f"{safe(source)}: warning: {safe(doubt)}", file=sys.stderr)


def count(value: int) -> str:
    """A number with thousands set apart."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def time_left(pending: int, pages_per_s: float) -> str:
    """How long what is known will take at this pace; "" where nobody can say."""
    if pending <= 0 or pages_per_s < 0.01:
        return ""
    return f"about {duration(pending / pages_per_s)} left"
