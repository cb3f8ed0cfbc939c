"""Tables of Markdown, and what must be escaped in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown, on one line."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = (" | ".join(" ".join(cell.split()) for cell in line) for line in lines)
    return "".join(f"| {line} |\n" for line in cells)


def code(value: str) -> str:
    """As it is typed."""
    return f"`{value}`" if value else ""


def prose(text: str) -> str:
    """A sentence of the code's, in which only what stands in backticks is Markdown."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"([\\*_\[\]<#|])", r"\\\1", text)


def value(given: Any) -> str:
    """A default, as JSON; nothing where there is none."""
    return "" if given in (None, "", [], {}) else code(json.dumps(given, ensure_ascii=False))
