"""What a second crawl process brings: ``python -m tests.bench.pair [--rounds 3]``.

A worker crawls two resources, each of so many copies of a site of 5,000 pages, with one process and
with two, in turn. Prints the ratio of pages per second of a round's two runs, as the median of all
rounds, starting included: as it is, and with the web server counted out. Where one process crawls,
the server has the other core for itself; where two do, half of its CPU-seconds are taken off, as if
it had a core of its own then, too. A run whose log does not show every page exactly once is an
error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestants import ENDED, Contestant, crawler, definition, sqlite_at
from tests.bench.crawl import execute
from tests.bench.interrupt import unwind_on_sigterm
from tests.bench.site import Served, Site, path_of, served
from tests.bench.usage import children, cpu_seconds

PAGES = 5000
CORES = 2


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one run, and of the server's CPU in it."""

    wall_s: float
    server_s: float


def worker(processes: int, site: Served) -> Contestant:
    """One that crawls half of the copies as one resource, half as another."""
    half = len(site.copies) // 2

    def command(_: Site, home: Path) -> list[str]:
        arguments = ["worker", "--id=1", "--cluster=false", f"--processes={processes}"]
        arguments += ["--http=127.0.0.1:0", "--grpc=127.0.0.1:0", f"--store={sqlite_at(home)}"]
        arguments += ["--allow-private=127.0.0.0/8"]
        for name, hosts in (("one", site.copies[:half]), ("two", site.copies[half:])):
            file = home / f"{name}.json"
            starts = [f"http://{host}:{site.port}{path_of(0)}" for host in hosts]
            file.write_text(definition(starts, hosts))
            arguments.append(f"--definitions={file}")
        return crawler(*arguments)

    return Contestant(f"{processes} processes", command, ENDED)


def measure(contestant: Contestant, site: Served, home: Path) -> Took:
    """Crawl once. Raises `RuntimeError` unless every page was asked for once."""
    pids = [site.pid, *children(site.pid)]
    before_s = sum(map(cpu_seconds, pids))
    run = execute(contestant, site, home)
    took = Took(run.wall_s, sum(map(cpu_seconds, pids)) - before_s)
    wanted = {
        f"http://{host}:{site.port}{path_of(n)}" for host in site.copies for n in range(PAGES)
    }
    fetched, once = site.fetched(), Counter(wanted)
    if fetched != once:
        missing, beyond = (once - fetched).total(), (fetched - once).total()
        raise RuntimeError(f"{contestant.name}: {missing} requests missing, {beyond} too many")
    return took


def main() -> None:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pair")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=5, help="of each resource")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="crawler-bench-") as folder:
        home = Path(folder)
        with served(home, PAGES, copies=2 * options.copies) as site:
            rounds = []
            for _ in range(options.rounds):
                pair = []
                for processes in (1, 2):
                    place = home / str(processes)
                    place.mkdir()
                    pair.append(took := measure(worker(processes, site), site, place))
                    shutil.rmtree(place)
                    rate = len(site.copies) * PAGES / took.wall_s
                    print(f"{processes} processes {rate:6.0f} pages/s", flush=True)
                rounds.append(pair)
    raw = statistics.median(one.wall_s / two.wall_s for one, two in rounds)
    alone = statistics.median(
        one.wall_s / (two.wall_s - two.server_s / CORES) for one, two in rounds
    )
    print(f"two processes / one: {raw:.2f}; the server counted out: {alone:.2f} (goal 1.7)")


if __name__ == "__main__":
    main()
