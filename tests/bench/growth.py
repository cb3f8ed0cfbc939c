"""What a page costs in a large crawl: ``python -m tests.bench.growth [COPIES ...]``.

One process, `crawler run`, crawls so many copies of a site of 5,000 pages, each a host of its own,
after another; the first number is what the others are compared with, and comes again at the end, to
show what the machine made of it meanwhile. Prints CPU-seconds (user and system) per 1,000 pages,
their ratio, and the peak memory so far: of a crawl, or of each fifth of a large one. The first
pages do not count, as starting is not to. A crawl whose log does not show every page exactly once
is an error.

    python -m tests.bench.growth 2 40         200,000 URLs beside 10,000; minutes
    python -m tests.bench.growth 2 200        a million; half an hour
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestants import crawler, definition
from tests.bench.interrupt import unwind_on_sigterm
from tests.bench.site import Served, path_of, served
from tests.bench.usage import cpu_seconds, peak_mib

PAGES = 5000
_WARM = 1000  # pages
_LARGE = 100_000  # pages, from which on a crawl is told of in parts
_PARTS = 5
_PATIENCE_S = 60.0  # without a page


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a crawl, or of that part of it which ended with so many pages."""

    pages: int
    cpu_s: float  # per page
    peak_mib: float


class Log:
    """How many pages the server was asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size
        self.pages = 0

    def read(self) -> int:
        """All since it was opened."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            lines = file.read()
        end = lines.rfind(b"\n") + 1
        self._at += end
        asked = lines[:end]
        self.pages += asked.count(b"\n") - asked.count(b"/robots.txt\n")
        return self.pages

    def wait(self, pages: int, process: subprocess.Popen[bytes]) -> None:
        """Return when it is so many."""
        before, since = self.pages, time.monotonic()
        while self.read() < pages:
            if self.pages > before:
                before, since = self.pages, time.monotonic()
            if process.poll() is not None or time.monotonic() - since > _PATIENCE_S:
                raise RuntimeError(f"stands at {self.pages:,} of {pages:,} pages")
            time.sleep(0.02)


def crawl(site: Served, copies: int, home: Path) -> Iterator[Cost]:
    """One crawl of so many copies, ended when it has read all of them."""
    whole = copies * PAGES
    parts = _PARTS if whole >= _LARGE else 1
    hosts = site.copies[:copies]
    wanted = home / "growth.json"
    wanted.write_text(
        definition([f"http://{host}:{site.port}{path_of(0)}" for host in hosts], hosts)
    )
    log = Log(site.log)
    command = crawler("run", str(wanted), "--allow-private=127.0.0.0/8", f"--data={home}/data")
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        log.wait(_WARM, process)
        before, before_s = log.pages, cpu_seconds(process.pid)
        for part in range(1, parts + 1):
            log.wait(whole * part // parts, process)
            pages, now_s = log.pages, cpu_seconds(process.pid)
            yield Cost(pages, (now_s - before_s) / (pages - before), peak_mib(process.pid))
            before, before_s = pages, now_s
        if process.wait(_PATIENCE_S) or log.read() != whole:
            raise RuntimeError(f"{log.pages:,} pages were asked for; {home / 'output'}")
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument("copies", nargs="*", type=int, default=[2, 40], metavar="COPIES")
    copies = parser.parse_args().copies
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="crawler-bench-") as folder:
        home = Path(folder)
        with served(home, PAGES, copies=max(copies)) as site:
            base = 0.0
            for at, number in enumerate((*copies, copies[0])):
                place = home / f"crawl-{at}"
                place.mkdir()
                for cost in crawl(site, number, place):
                    base = base or cost.cpu_s
                    print(
                        f"{cost.pages:>10,} URLs  {1000 * cost.cpu_s:6.3f} CPU-s per 1,000 pages "
                        f"({cost.cpu_s / base:4.2f})  {cost.peak_mib:4.0f} MiB",
                        flush=True,
                    )
                os.truncate(site.log, 0)


if __name__ == "__main__":
    main()
