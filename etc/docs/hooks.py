"""What mkdocs asks of us while it builds the site: pages made of code, and what README has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from reference import api, cli, definition, examples, settings

ROOT = Path(__file__).parents[2]
_FROM_README = re.compile(r"^<!-- README: (.+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of code and of other files of the project."""
    made = {
        "reference/cli.md": cli.page(),
        "reference/definition.md": definition.page(),
        "reference/settings.md": settings.page(ROOT / "etc" / "crawler.toml"),
        "reference/api.md": api.page(),
        "reference/examples.md": examples.page(ROOT / "etc" / "examples"),
        "explanation/faults.md": (ROOT / "tests" / "acceptance" / "FAULTS.md").read_text(),
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put blocks of README where ``<!-- README: FIRST WORDS -->`` asks for them, so that figures
    and promises stand in one place."""
    return _FROM_README.sub(lambda found: readme_block(found[1]), markdown)


def readme_block(beginning: str) -> str:
    """The lines of README from the one that begins so to the next empty one. Raises `LookupError`
    where not exactly one does."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(rf"^{re.escape(beginning)}.*(?:\n.+)*", text, re.MULTILINE)
    if len(blocks) != 1:
        raise LookupError(f"README has {len(blocks)} blocks that begin with {beginning!r}")
    return str(blocks[0])
