"""`crawler pause`, `resume`, `stop` and `start`: what should become of a crawl."""

from __future__ import annotations

import sys

from crawler.cli import options
from crawler.cli.calls import connect, look_after, standing


def pause(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Stop crawling and keep the run, for `resume`."""
    with connect(master) as client:
        done = client.pause(name)
    was = "" if done.changed else "was "
    _tell(f"{name} {was}paused; go on with `crawler resume {name}`")


def resume(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Go on with a paused run, where it was."""
    with connect(master) as client:
        done = client.resume(name)
        now = standing(look_after(client, name))
    what = f"goes on with run {done.run}" if done.changed else "was not paused"
    _tell(f"{name} {what}{now}")


def stop(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """End the run; its pages and items stay."""
    with connect(master) as client:
        done = client.stop(name)
        now = "" if done.changed else standing(look_after(client, name))
    what = f"stopped in run {done.run}" if done.changed else f"was over already, in run {done.run}"
    _tell(f"{name} {what}{now}; begin the next with `crawler start {name}`")


def start(name: options.Name, master: options.Master = options.DEFAULT_MASTER) -> None:
    """Begin the next run, from the start URLs."""
    with connect(master) as client:
        done = client.start(name)
        now = standing(look_after(client, name))
    if done.changed:
        _tell(
            f"{name} begins run {done.run}{now}; items of run {done.run - 1}: "
            f"`crawler items {name} --run {done.run - 1}`"
        )
    else:
        _tell(f"{name} is in run {done.run} already{now}; `crawler stop {name}` ends it")


def _tell(what: str) -> None:
    print(what, file=sys.stderr)
