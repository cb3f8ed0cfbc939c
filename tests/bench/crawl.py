"""Whole crawls, side by side: ``python -m tests.bench.crawl [--pages 5000] [--rounds 3]``.

    python -m tests.bench.crawl --peers .peers/bin/python --beside scrapy --rounds 9

is for a goal that is near: more rounds of fewer. ``--shape small`` is for pages of 1 kB.

Every round runs every contestant once on the same site, so that noise of the machine meets all.
Prints the medians of pages per CPU-second (user and system of the whole process tree, start-up
included), of pages per second, and the peak memory of the largest process; then what a round says
of two contestants, as the median of its ratios. A run counts only if it asked for every page
exactly once and found every item; a page of a failing host has to be asked for three times. What
is known to repeat some pages is let go, and counted as if it had not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestants import Contestant, crawler_run, crawler_worker, peers
from tests.bench.interrupt import unwind_on_sigterm
from tests.bench.site import LARGE, MANY_HOSTS, ONE_HOST, SMALL, Kind, Served, served

_TRIES = 3
_GOALS = (("scrapy", 10.0), ("scrapy, own seen-set", 4.0), ("colly", 2.0))
_PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one crawl took."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def execute(contestant: Contestant, site: Served, home: Path) -> Run:
    """Crawl once. Raises `RuntimeError` where it fails."""
    log = home / "log"
    began = time.monotonic()
    with log.open("wb") as output:
        command = contestant.command(site, home)
        process = subprocess.Popen(command, stdout=output, stderr=output)
    ended = 0.0
    try:
        if contestant.ended:
            _await_line(log, contestant.ended, process)
            ended = time.monotonic()
            process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()  # a crawl that is not measured to its end is not left behind
        process.wait()
        raise
    process.returncode = status
    ended = ended or time.monotonic()
    if status:
        raise RuntimeError(f"{contestant.name} ended with {status}: {log.read_text()[-2000:]}")
    return Run(usage.ru_utime + usage.ru_stime, ended - began, usage.ru_maxrss / 1024)


def _await_line(log: Path, line: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while line not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no {line!r}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def check(contestant: Contestant, site: Served, home: Path) -> None:
    """Raise `RuntimeError` unless every page was asked for as often as it must, and read."""
    if contestant.export is not None:
        subprocess.run(contestant.export(home), check=True, capture_output=True)
    wanted = Counter({url: _TRIES if site.kind(url) is Kind.FAILING else 1 for url in site.urls})
    fetched = site.fetched()
    if contestant.repeats:
        print(
            f"    {contestant.name} asked for {(fetched - wanted).total()} pages again", flush=True
        )
        fetched &= wanted
    if fetched != wanted:
        missing, beyond = (wanted - fetched).total(), (fetched - wanted).total()
        raise RuntimeError(f"{contestant.name}: {missing} requests missing, {beyond} too many")
    lines = (home / "items.jsonl").read_text().splitlines()
    names = Counter(_name(json.loads(line)) for line in lines)
    names = Counter(set(names)) if contestant.repeats else names
    readable = [n for n, url in enumerate(site.urls) if site.kind(url) is not Kind.FAILING]
    if names != Counter(f"Item {n}" for n in readable):
        raise RuntimeError(f"{contestant.name}: {names.total()} items of {len(readable)}")


def _name(item: Mapping[str, object]) -> str:
    fields = item.get("fields", item)
    assert isinstance(fields, Mapping)
    return str(fields["name"])


def contest(
    contestants: Sequence[Contestant], site: Served, home: Path, rounds: int
) -> Mapping[str, Sequence[Run]]:
    """All in turn, ``rounds`` times."""
    runs: dict[str, list[Run]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        for contestant in contestants:
            place = home / f"{number}-{re.sub('[^a-z]+', '-', contestant.name.lower())}"
            place.mkdir()
            run = execute(contestant, site, place)
            check(contestant, site, place)
            shutil.rmtree(place)
            runs[contestant.name].append(run)
            rate = len(site.urls) / run.cpu_s
            print(f"{number + 1:>3} {contestant.name:<22}{rate:>8.0f} pages/CPU-s", flush=True)
    return runs


def report(runs: Mapping[str, Sequence[Run]], pages: int, ours: str) -> bool:
    """Print the tables; whether all goals are met that were measured."""
    print(f"\n{'':<22}{'pages/CPU-s':>12}{'pages/s':>10}{'MiB':>7}{'times':>9}")
    for name, found in runs.items():
        per_cpu = statistics.median(pages / run.cpu_s for run in found)
        per_s = statistics.median(pages / run.wall_s for run in found)
        peak = max(run.peak_mib for run in found)
        times = _ratio(runs[ours], found)
        print(f"{name:<22}{per_cpu:>12.0f}{per_s:>10.0f}{peak:>7.0f}{times:>9.2f}")
    good = True
    for name, goal in _GOALS:
        if name in runs:
            times = _ratio(runs[ours], runs[name])
            good = good and times >= goal
            print(f"{ours} / {name}: {times:.1f} (goal {goal:g})")
    return good


def _ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """How much more our runs got out of a CPU-second than theirs of the same round."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(other.cpu_s / own.cpu_s for own, other in pairs)


def main() -> int:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crawl")
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="of their environment")
    parser.add_argument("--beside", metavar="NAME", help="of the peers this one alone")
    parser.add_argument("--hosts", choices=("one", "many"), default="one")
    parser.add_argument("--shape", choices=("large", "small"), default="large")
    arguments = parser.parse_args()
    unwind_on_sigterm()
    hosts = ONE_HOST if arguments.hosts == "one" else MANY_HOSTS
    shape = LARGE if arguments.shape == "large" else SMALL
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="crawler-bench-"))
        home = Path(folder)
        contestants = [crawler_run(), crawler_worker()]
        if arguments.peers is not None:
            found = peers(arguments.peers, home)
            names = [each.name for each in found]
            if arguments.beside not in (None, *names):
                parser.error(f"--beside: there is no {arguments.beside}; there are {names}")
            contestants += [each for each in found if arguments.beside in (None, each.name)]
        site = stack.enter_context(served(home, arguments.pages, hosts, shape=shape))
        runs = contest(contestants, site, home, arguments.rounds)
    return 0 if report(runs, arguments.pages, contestants[0].name) else 1


if __name__ == "__main__":
    sys.exit(main())
