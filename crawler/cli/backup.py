"""`crawler backup` and `crawler restore`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli import options


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a new directory, or an empty one")],
    store_only: Annotated[
        bool, typer.Option("--store-only", help="without etcd: losing it loses no crawl")
    ] = False,
    config: options.Config = None,
    etcd: options.Etcd = None,
    etcd_user: options.EtcdUser = None,
    etcd_ca: options.EtcdCa = None,
    etcd_cert: options.EtcdCert = None,
    etcd_key: options.EtcdKey = None,
    store: options.Store = None,
) -> None:
    """Copy etcd and the store of a cluster into a directory, while its nodes work."""
    given = locals()  # by the settings' names
    from crawler.app.backup import save_backup
    from crawler.clock import SystemClock
    from crawler.config import master_config
    from crawler.telemetry import logs

    logs.configure("error")
    settings = master_config(given)
    made = save_backup(settings, folder, SystemClock(), with_etcd=not store_only)
    for name in asyncio.run(made)["files"]:
        print(folder / name)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="what crawler backup made")],
    config: options.Config = None,
    store: options.Store = None,
    etcd_data: Annotated[
        Path | None,
        typer.Option("--etcd-data", metavar="DIR", help="make a member of etcd there, too"),
    ] = None,
) -> None:
    """Put a backup where nothing is: a new database file, or an empty database. No node may run."""
    from crawler.app.backup import restore_backup
    from crawler.config import master_config
    from crawler.telemetry import logs

    logs.configure("error")
    settings = master_config({"config": config, "store": store})
    made = asyncio.run(restore_backup(folder, settings.store, etcd_data))
    print(f"the store {made['store']} is back", file=sys.stderr)
