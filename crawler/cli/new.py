"""`crawler new`: a starter definition from a real page."""

from __future__ import annotations

from typing import Annotated

import typer


def new(
    url: Annotated[str, typer.Argument(metavar="URL", help="a page of the site, best a listing")],
) -> None:
    """Print a first definition, guessed from one page of a site.

    `crawler new https://shop.example/ > shop.toml`
    """
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app.here import fetch_page
    from crawler.cli.starter import starter
    from crawler.cli.try_page import host_of
    from crawler.definition import load_text
    from crawler.telemetry import logs

    hosts = loopback_hosts([host_of(url)])
    logs.configure("error")
    body = uvloop.run(fetch_page(url, hosts=hosts))
    text = starter(url, body.decode("utf-8", "replace"))
    load_text(text, source="the starter")  # what we print must be right
    print(text, end="")
