"""`crawler edge`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import exits, options
from crawler.errors import CrawlerError, InvalidInput

if TYPE_CHECKING:
    from crawler.config import EdgeConfig
    from crawler.edge.plan import Plan
    from crawler.edge.run import Result

UNCHANGED, FAILED, CHANGED = 0, 1, 2


def edge(
    config: options.Config = None,
    etcd: options.Etcd = None,
    etcd_user: options.EtcdUser = None,
    etcd_ca: options.EtcdCa = None,
    etcd_cert: options.EtcdCert = None,
    etcd_key: options.EtcdKey = None,
    secret: options.Secret = None,
    election_prefix: options.ElectionPrefix = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="[HOST]:PORT", help="where it tells how it is"),
    ] = None,
    insecure: options.Insecure = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="DIR", help="what outlives a restart  [default: per user]"),
    ] = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", metavar="NAME", help="only this target")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="bring all in step and end")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would change, as a diff, and end")
    ] = False,
    validate: Annotated[
        Path | None,
        typer.Option(
            "--validate", metavar="FILE", help="check with members of this JSON file, without etcd"
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="believe that a pool has lost all its servers")
    ] = False,
) -> int:
    """Keep load balancers in step with who is registered in etcd: nginx, haproxy, keepalived…

    What is balanced and by whom stands in a file, which `crawler install` writes to begin with:
    `crawler edge --config edge.toml`. SIGHUP has everything looked at again.

    --validate prints what the targets would be with a sample of members, as a json target writes
    them, once their load balancers have found no fault with it; nothing is changed.

    With --once or --dry-run it exits with 0 (all was in step), 2 (something was, or would be,
    changed) or 1 (something failed).
    """
    own = {"target", "once", "dry_run", "validate", "allow_empty"}
    given = {name: value for name, value in locals().items() if name not in own}
    single = once or dry_run or validate is not None
    try:
        settings, plan = _read(given, tuple(target or ()), allow_empty=allow_empty, quiet=single)
        if validate is not None:
            if once or dry_run:
                raise InvalidInput("--validate: goes without --once and --dry-run")
            return _validate(plan, validate)
        if single:
            return _sync(settings, plan, dry_run=dry_run)
    except CrawlerError as error:
        if not single:
            raise
        print(exits.line_of(error), file=sys.stderr)  # 2 would mean that something was changed
        return FAILED
    asyncio.run(_keep(settings, plan))
    return exits.OK


async def _keep(settings: EdgeConfig, plan: Plan) -> None:
    """Until SIGTERM or SIGINT; a service manager hears how it is."""
    from crawler.app.watchdog import watched
    from crawler.clock import SystemClock
    from crawler.edge.run import run_edge
    from crawler.tasks import on_signals

    stop = asyncio.Event()
    # It has no session to care for: what shows that it lives is its event loop alone.
    async with on_signals(stop), watched(stop, 0, SystemClock()) as watchdog:
        await run_edge(settings, plan, stop, watchdog.ready)


def _read(
    given: Mapping[str, object], only: tuple[str, ...], *, allow_empty: bool, quiet: bool
) -> tuple[EdgeConfig, Plan]:
    from crawler.config import edge_config
    from crawler.edge.plan import read_plan
    from crawler.telemetry import logs

    settings = edge_config(given)
    # What is done once says itself what it did.
    level = "warning" if quiet and settings.log_level == "info" else settings.log_level
    logs.configure(level, settings.log_format, fields={"node": "edge"})
    return settings, read_plan(settings, only, allow_empty=allow_empty)


def _validate(plan: Plan, sample: Path) -> int:
    from crawler.edge.run import validate

    result = asyncio.run(validate(plan, sample))
    for name, text in result.changed.items():
        print(text, end="")
        print(f"target {name}: nothing is wrong with this", file=sys.stderr)
    for name, why in result.failed.items():
        print(f"target {name}: {why}", file=sys.stderr)
    return FAILED if result.failed else exits.OK


def _sync(settings: EdgeConfig, plan: Plan, *, dry_run: bool) -> int:
    from crawler.edge.run import sync_once

    result = asyncio.run(sync_once(settings, plan, dry_run=dry_run))
    _say(result, dry_run=dry_run)
    if result.failed:
        return FAILED
    return CHANGED if result.changed else UNCHANGED


def _say(result: Result, *, dry_run: bool) -> None:
    for name, why in result.held.items():
        print(f"pool {name}: {why}", file=sys.stderr)
    for name, how in result.changed.items():
        if dry_run:
            print(how, end="")
        else:
            print(f"target {name}: {how}", file=sys.stderr)
    for name, why in result.failed.items():
        print(f"target {name}: {why}", file=sys.stderr)
