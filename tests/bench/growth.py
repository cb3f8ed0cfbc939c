"""What a page costs in a large crawl: ``python -m tests.bench.growth [COPIES]``.

One process, `crawler run`, crawls so many copies of a site of 5,000 pages, each a host of its own,
in turn. At each tenth of its pages it is stopped (SIGSTOP) while another one crawls two copies of
its own, with which it is compared: the machine is not the same from minute to minute, but both meet
the same ones. Prints CPU-seconds (user and system) per 1,000 pages of both for each tenth, the
ratio of the means of all, and the peak memory. The first tenths find nearly all URLs. The first
pages of a crawl do not count, as starting is not to. A crawl whose log does not show every page
exactly once is an error.

    python -m tests.bench.growth 40         200,000 URLs beside 10,000; minutes
    python -m tests.bench.growth 200        a million; half an hour
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Final

from tests.bench.contestants import crawler, definition
from tests.bench.interrupt import unwind_on_sigterm
from tests.bench.site import Served, path_of, served
from tests.bench.usage import cpu_seconds, peak_mib

PAGES: Final = 5000
_SMALL: Final = 2  # copies
_WARM: Final = 1000  # pages
_PARTS: Final = 10
_PATIENCE_S: Final = 60.0  # without a page


class Crawl:
    """One process that crawls these copies. ``pages``: how many of theirs the server was asked
    for."""

    def __init__(self, site: Served, copies: Sequence[str], home: Path) -> None:
        self._hosts = {f"http://{copy}:{site.port}".encode() for copy in copies}
        self._log = site.log
        self._read = site.log.stat().st_size
        self._output = home / "output"
        self.whole = len(copies) * PAGES
        self.pages = 0
        wanted = home / "growth.json"
        starts = [f"http://{copy}:{site.port}{path_of(0)}" for copy in copies]
        wanted.write_text(definition(starts, copies))
        command = crawler("run", str(wanted), "--allow-private=127.0.0.0/8", f"--data={home}/data")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def look(self) -> int:
        """All pages since it began."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        end = lines.rfind(b"\n") + 1
        self._read += end
        for line in lines[:end].splitlines():
            ours = b"/".join(line.split(b"/", 3)[:3]) in self._hosts
            self.pages += ours and not line.endswith(b"/robots.txt")
        return self.pages

    def reach(self, pages: int) -> None:
        """Return when it is so many."""
        before, since = self.pages, time.monotonic()
        while self.look() < pages:
            if self.pages > before:
                before, since = self.pages, time.monotonic()
            if self.process.poll() is not None or time.monotonic() - since > _PATIENCE_S:
                raise RuntimeError(f"stands at {self.pages:,} of {pages:,} pages: {self._said()}")
            time.sleep(0.02)

    def costs(self, parts: int) -> Iterator[float]:
        """CPU-seconds per page of each part, of which the first begins once it is warm."""
        self.reach(_WARM)
        for part in range(1, parts + 1):
            pages, cpu_s = self.pages, cpu_seconds(self.process.pid)
            self.reach(self.whole * part // parts)
            yield (cpu_seconds(self.process.pid) - cpu_s) / (self.pages - pages)

    def end(self) -> None:
        """Wait for its end."""
        if self.process.wait(_PATIENCE_S) or self.look() != self.whole:
            raise RuntimeError(f"{self.pages:,} of {self.whole:,} pages: {self._said()}")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It stands still meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _said(self) -> str:
        return self._output.read_text(errors="replace")[-1000:]


@contextmanager
def crawling(site: Served, copies: Sequence[str], home: Path) -> Iterator[Crawl]:
    """A crawl that does not outlive the context."""
    with tempfile.TemporaryDirectory(dir=home) as place:
        crawl = Crawl(site, copies, Path(place))
        try:
            yield crawl
        finally:
            crawl.process.kill()
            crawl.process.wait()


def measure(site: Served, copies: int, home: Path) -> None:
    """Crawl, compare and tell."""
    large, small = list[float](), list[float]()
    most_mib = 0.0
    with crawling(site, site.copies[:copies], home) as crawl:
        for cost_s in crawl.costs(_PARTS):
            most_mib = peak_mib(crawl.process.pid)
            with crawl.stopped(), crawling(site, site.copies[copies:], home) as beside:
                small += beside.costs(1)
                beside.end()
            large.append(cost_s)
            print(
                f"{crawl.pages:>10,} URLs  {1000 * large[-1]:6.3f} CPU-s per 1,000 pages; "
                f"{beside.whole:,}: {1000 * small[-1]:6.3f}",
                flush=True,
            )
        crawl.end()
    print(f"{mean(large) / mean(small):.2f} of a page of the small crawl; {most_mib:.0f} MiB")


def main() -> None:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument("copies", nargs="?", type=int, default=40, metavar="COPIES")
    copies = parser.parse_args().copies
    if copies * PAGES // _PARTS <= _WARM:
        parser.error(f"COPIES: {copies} are too few to tell of {_PARTS} parts; at least 3")
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="crawler-bench-") as folder:
        home = Path(folder)
        with served(home, PAGES, copies=copies + _SMALL) as site:
            measure(site, copies, home)


if __name__ == "__main__":
    main()
