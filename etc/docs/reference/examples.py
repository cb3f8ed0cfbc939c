"""The commented example definitions."""

from __future__ import annotations

from pathlib import Path

INTRODUCTION = """# Examples

Commented definitions, to begin with. They stand in `etc/examples` of the source, too.
"""


def page(folder: Path) -> str:
    """Each file under its name."""
    files = sorted(folder.glob("*.toml"))
    parts = (f"## {each.name}\n\n```toml\n{each.read_text()}```\n" for each in files)
    return "\n".join([INTRODUCTION, *parts])
