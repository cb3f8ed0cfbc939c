"""`crawler new`: a starter definition from a real page."""

from __future__ import annotations

from typing import Annotated

import typer

from crawler.cli import options


def new(
    url: Annotated[str, typer.Argument(metavar="URL", help="a page of the site, best a listing")],
    allow_private: options.Allow = None,
) -> None:
    """Print a first definition, guessed from one page of a site.

    `crawler new https://shop.example/ > shop.toml`
    """
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app.trial import propose
    from crawler.cli.try_page import host_of
    from crawler.config import read_networks
    from crawler.telemetry import logs

    hosts = loopback_hosts([host_of(url)])
    logs.configure("error")
    networks = read_networks(allow_private or ())
    print(uvloop.run(propose(url, hosts, allow_private=networks)), end="")
