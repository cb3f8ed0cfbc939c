"""`crawler pause`, `resume`, `stop` and `start`: what should become of a crawl."""

from __future__ import annotations

import sys

from crawler.cli import options
from crawler.cli.calls import connect


def pause(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Stop crawling and keep the run, for `resume`."""
    with connect(master) as client:
        client.pause(name)
    _tell(name, "paused; go on with `crawler resume`")


def resume(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Go on with a paused run, where it was."""
    with connect(master) as client:
        client.resume(name)
    _tell(name, "goes on")


def stop(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """End the run; its pages and items stay."""
    with connect(master) as client:
        client.stop(name)
    _tell(name, "stopped; begin the next run with `crawler start`")


def start(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Begin the next run, from the start URLs."""
    with connect(master) as client:
        client.start(name)
    _tell(name, "begins a new run")


def _tell(name: str, what: str) -> None:
    print(f"{name} {what}", file=sys.stderr)
