"""`crawler demo`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli import exits


class Stage:
    """Lines that stay, and one below them that changes; where that cannot be, a line a while."""

    def __init__(self, *, live: bool, every_s: float = 2.0) -> None:
        self._live = live
        self._every_s = every_s
        self._shown_at = 0.0
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._began:5.1f}  {text}")

    def progress(self, text: str) -> None:
        if self._live:
            print(f"\r\x1b[K       {text}", end="", flush=True)
        elif time.monotonic() - self._shown_at >= self._every_s:
            self._shown_at = time.monotonic()
            self._print(f"       {text}")

    def _print(self, text: str) -> None:
        print(("\r\x1b[K" if self._live else "") + text, flush=True)


def demo(
    products: Annotated[int, typer.Option("--products", min=300, help="size of the shop")] = 1000,
    keep: Annotated[bool, typer.Option("--keep", help="keep logs and data afterwards")] = False,
) -> None:
    """Watch a cluster survive two kills in one minute.

    It crawls a shop of its own while its leading master and its busy worker are killed -9.
    """
    from crawler.clock import SystemClock
    from crawler.local.demo import run_demo, table
    from crawler.telemetry import logs

    logs.configure("warning")
    data = Path(tempfile.mkdtemp(prefix="crawler-demo-"))
    clean = False
    try:
        stage = Stage(live=sys.stdout.isatty())
        outcome = asyncio.run(run_demo(data, products, stage, SystemClock()))
        print("\n" + table(outcome) + "\n")
        clean = outcome.verdict.clean and outcome.both_killed
        if not outcome.both_killed:
            print("FAILED: the crawl ended before both were killed; give it more --products")
        elif clean:
            print("nothing lost, nothing twice")
        else:
            print("FAILED: something was lost or doubled")
    finally:
        if clean and not keep:
            shutil.rmtree(data, ignore_errors=True)
        else:
            print(f"logs and data are in {data}", file=sys.stderr)
    if not clean:
        raise typer.Exit(exits.FAILED)
