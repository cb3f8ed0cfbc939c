"""`crawler check`: is this definition right?"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crawler.cli import options, terminal


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
            rules, urls = len(definition.rules), len(definition.start_urls)
            said = f"{urls} start URLs, {rules} rules" if rules else f"{urls} start URLs, no rules"
            print(f"{source}: fine ({said})", file=sys.stderr)
