"""`crawler check`: is this definition right?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options, terminal

if TYPE_CHECKING:
    from crawler.definition import Definition


def check(
    sources: Annotated[list[str], typer.Argument(metavar="FILE…", help="definitions")],
    settings: options.Settings = None,
    json_: options.Json = False,
) -> None:
    """Check definitions. Errors name the field and the line."""
    import json

    from crawler.app.source import read_definition
    from crawler.definition import doubts

    for source in sources:
        definition = read_definition(source, settings or ())
        terminal.warn(source, doubts(definition))
        if json_:
            terminal.print_json(json.loads(definition.canonical()))
        else:
            print(f"{source}: fine ({_said(definition)})", file=sys.stderr)


def _said(definition: Definition) -> str:
    """How much there is of what."""
    rules = len(definition.rules)
    parts = [f"{len(definition.start_urls)} start URLs"]
    if definition.sitemaps:
        parts.append(f"{len(definition.sitemaps)} sitemaps")
    return ", ".join([*parts, f"{rules} rules" if rules else "no rules"])
