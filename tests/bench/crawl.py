"""Whole crawls per CPU-second: ``python -m tests.bench.crawl [--pages 3000] [--rounds 3]``.

Prints pages per CPU-second (user and system of the whole process tree, start-up included) of
``crawler run`` and of a bare fetch loop, in turn, and the median of their ratios. Every run must
have asked for every page exactly once. PERFORMANCE.md says what to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.site import Served, served

_FIELDS = {
    "name": {"css": "h1.name::text", "required": True},
    "price": {"css": ".price::text", "type": "decimal"},
    "sku": "span.sku::text",
    "at": {"css": "time.at::text", "type": "datetime"},
    "about": "p.about::text",
}


def definition(site: Served) -> str:
    """A crawl that may go as fast as it can."""
    return json.dumps(
        {
            "start_urls": [site.origin + site.paths[0]],
            "download_delay": 0.0,
            "concurrent_requests": 32,
            "concurrent_requests_per_domain": 32,
            "rules": [{"match": f"{site.origin}/**", "follow": ["a.more"], "item": _FIELDS}],
        }
    )


def cpu_seconds(command: Sequence[str], log: Path) -> float:
    """Run to the end; user and system seconds of the process and all that it waited for."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command[0]} ended with {status}: {log.read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


def measure(name: str, command: Sequence[str], site: Served, log: Path) -> float:
    """Pages per CPU-second of one run, which must have asked for every page once."""
    seconds = cpu_seconds(command, log)
    fetched = site.fetched()
    if sorted(fetched.elements()) != sorted(site.paths):
        raise RuntimeError(f"{name}: {len(fetched)} pages, {fetched.total()} requests")
    rate = len(site.paths) / seconds
    print(f"{name:10} {rate:8.0f} pages per CPU-second ({seconds:.2f} s)", flush=True)
    return rate


def compare(home: Path, pages: int, rounds: int) -> None:
    """Both in turn, ``rounds`` times."""
    with served(home, pages) as site:
        urls, wanted, log = home / "urls", home / "crawl.json", home / "log"
        urls.write_text("\n".join(site.origin + path for path in site.paths))
        wanted.write_text(definition(site))
        bare = [sys.executable, "-m", "tests.bench.fetch_only", str(urls)]
        ratios = []
        for number in range(rounds):
            data, items = home / f"data-{number}", home / f"items-{number}.jsonl"
            crawl = [sys.executable, "-m", "crawler", "run", str(wanted)]
            crawl += ["--data", str(data), "-o", str(items)]
            fetch_rate = measure("fetch only", bare, site, log)
            ratios.append(measure("crawler", crawl, site, log) / fetch_rate)
            found = items.read_text().count("\n")
            if found != pages:
                raise RuntimeError(f"{found} items of {pages}")
    print(f"crawler / fetch only: {statistics.median(ratios):.3f}")


def main() -> None:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crawl")
    parser.add_argument("--pages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crawler-bench-") as home:
        compare(Path(home), arguments.pages, arguments.rounds)


if __name__ == "__main__":
    main()
