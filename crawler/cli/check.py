"""`crawler check`: is this definition right?"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal

if TYPE_CHECKING:
    from crawler.definition import Definition


def check(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…", help="definitions or spiders")],
    settings: options.Settings = None,
    spider: options.Spider = None,
    json_: options.Json = False,
) -> None:
    """Check definitions, and spiders in Python files. Errors name the field and the line."""
    import json

    from crawler.app.browsers import browser_doubts
    from crawler.app.source import read_crawl
    from crawler.definition import doubts

    for source in sources:
        definition, loaded = read_crawl(source, spider, settings or ())
        starts = len(definition.start_urls)
        if loaded is not None:
            with redirect_stdout(sys.stderr):
                starts = len(loaded.open(Path()).starts)
        terminal.warn(source, [*doubts(definition), *browser_doubts(definition)])
        if json_:
            terminal.print_json(json.loads(definition.canonical()))
        else:
            print(f"{source}: fine ({_said(definition, starts)})", file=sys.stderr)


def _said(definition: Definition, starts: int) -> str:
    """How much there is of what."""
    rules = len(definition.rules)
    parts = [f"{starts} start URLs"]
    if definition.sitemaps:
        parts.append(f"{len(definition.sitemaps)} sitemaps")
    if definition.spider is not None:
        return ", ".join([*parts, f"spider {definition.spider}"])
    return ", ".join([*parts, f"{rules} rules" if rules else "no rules"])
