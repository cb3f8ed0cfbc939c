"""Every row of the fault matrix has a scenario, and the table says which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "acceptance" / "FAULTS.md"
ROWS = range(1, 33)

_LINE = re.compile(r"\| (\d+) \|.*\| (.+) \| [^|]+ \|")
_SCENARIO = re.compile(r"`([\w/]+\.py)::(\w+)`")

Scenario = tuple[int, str, str]


def marked() -> Iterator[Scenario]:
    """Row, file and function of every test with a mark ``fault(row)``."""
    for path in ROOT.rglob("test_*.py"):
        text = path.read_text()
        if "mark.fault(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for row in map(_row, node.decorator_list):
                    if row is not None:
                        yield row, path.relative_to(ROOT).as_posix(), node.name


def _row(decorator: ast.expr) -> int | None:
    match decorator:
        case ast.Call(func=ast.Attribute(attr="fault"), args=[ast.Constant(value=int(row))]):
            return row
    return None


def listed() -> Iterator[Scenario]:
    """Row, file and function of every scenario in the table."""
    for line in TABLE.read_text().splitlines():
        if (found := _LINE.fullmatch(line)) is not None:
            for path, name in _SCENARIO.findall(found[2]):
                yield int(found[1]), path, name


def test_every_row_has_a_scenario_that_the_table_names() -> None:
    found = sorted(marked())
    assert {row for row, _, _ in found} == set(ROWS)
    assert sorted(listed()) == found
