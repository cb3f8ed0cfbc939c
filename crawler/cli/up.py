"""`crawler up`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from crawler.cli import options


def up(
    masters: Annotated[
        str | None, typer.Option("--masters", metavar="N", help="[default: 3]")
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="[default: 3]")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="where everything is kept")
    ] = None,
    http: Annotated[
        str | None, typer.Option("--http", metavar=":PORT", help="the API  [default: :8081]")
    ] = None,
    etcd: Annotated[
        list[str] | None,
        typer.Option("--etcd", metavar="URL,…", help="instead of an etcd of its own"),
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="instead of a file below --data")
    ] = None,
    tokens: options.Tokens = None,
    allow_private: options.Allow = None,
    processes: options.Processes = None,
    ttl: options.Ttl = None,
    config: options.Config = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run a whole cluster on this machine, until Ctrl-C."""
    given = locals()  # by the settings' names
    from crawler.cli.safety import keep_private
    from crawler.clock import SystemClock
    from crawler.config import up_config
    from crawler.local.up import run_up
    from crawler.telemetry import logs

    settings = up_config(given)
    logs.configure("warning", settings.log_format)  # the level asked for is that of the nodes
    keep_private()
    asyncio.run(run_up(settings, lambda text: print(text, flush=True), SystemClock()))
