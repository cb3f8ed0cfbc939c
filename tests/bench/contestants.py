"""Who crawls the benchmark's site, each with 32 requests at once and robots.txt obeyed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.site import Site

PEERS = Path(__file__).parent / "peers"
ENDED = "all crawls have ended"  # what a worker without a cluster logs then
_FIELDS = {
    "name": {"css": "h1.name::text", "required": True},
    "price": {"css": ".price::text", "type": "decimal"},
    "sku": "span.sku::text",
    "at": {"css": "time.at::text", "type": "datetime"},
    "about": "p.about::text",
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """``command`` makes the command line that crawls the site from a fresh directory and leaves
    the items in ``items.jsonl`` there. ``ended``: what it logs when it is done, where it does not
    end by itself; ``export`` then makes the command that writes the items. ``repeats``: it is known
    to fetch some pages twice."""

    name: str
    command: Callable[[Site, Path], Sequence[str]]
    ended: str = ""
    export: Callable[[Path], Sequence[str]] | None = None
    repeats: bool = False


def definition(start_urls: Sequence[str], hosts: Sequence[str]) -> str:
    """A crawl that may go as fast as it can."""
    return json.dumps(
        {
            "start_urls": start_urls,
            "allowed_domains": hosts,
            "download_delay": 0.0,
            "concurrent_requests": 32,
            "concurrent_requests_per_domain": 32,
            "rules": [{"match": "**", "follow": ["a.more"], "item": _FIELDS}],
        }
    )


def crawler(*arguments: str) -> list[str]:
    """The command line of ours."""
    return [sys.executable, "-m", "crawler", *arguments]


def _defined(site: Site, home: Path) -> str:
    wanted = home / "bench.json"
    wanted.write_text(definition(site.urls[:1], site.addresses))
    return str(wanted)


def crawler_run() -> Contestant:
    """`crawler run`: one process, SQLite, everything on."""

    def command(site: Site, home: Path) -> list[str]:
        arguments = ["run", _defined(site, home), "--allow-private=127.0.0.0/8"]
        return crawler(*arguments, f"--data={home}/data", "-o", f"{home}/items.jsonl")

    return Contestant("crawler run", command)


def sqlite_at(home: Path) -> str:
    """The URL of a run's own database."""
    return f"sqlite://{home}/bench.db"


def crawler_worker() -> Contestant:
    """A worker with one crawling process, supervisor included."""

    def command(site: Site, home: Path) -> list[str]:
        arguments = ["worker", "--id=1", "--cluster=false", "--processes=1", "--http=127.0.0.1:0"]
        arguments += ["--grpc=127.0.0.1:0", f"--store={sqlite_at(home)}"]
        arguments.append("--allow-private=127.0.0.0/8")
        return crawler(*arguments, f"--definitions={_defined(site, home)}")

    def export(home: Path) -> list[str]:
        items = str(home / "items.jsonl")
        return crawler("items", "bench", f"--store={sqlite_at(home)}", "-o", items)

    return Contestant("crawler worker", command, ENDED, export)


def scripted(name: str, python: Path, script: str) -> Contestant:
    """One of the scripts in ``peers``."""

    def command(site: Site, home: Path) -> list[str]:
        items = str(home / "items.jsonl")
        return [str(python), str(PEERS / script), site.urls[0], items, *site.addresses]

    return Contestant(name, command)


def colly(home: Path) -> list[Contestant]:
    """Built with the Go that is on PATH; none without one. Colly looks whether a URL was visited
    and notes that it was in two steps, between which another of its threads may do the same."""
    go = shutil.which("go")
    if go is None:
        return []
    binary = home / "colly"
    build = [go, "build", "-mod=mod", f"-modfile={home / 'go.mod'}", "-o", str(binary), "."]
    shutil.copy(PEERS / "colly" / "go.mod", home / "go.mod")
    subprocess.run(build, cwd=PEERS / "colly", check=True)

    def command(*options: str) -> Callable[[Site, Path], Sequence[str]]:
        def made(site: Site, home: Path) -> list[str]:
            items = str(home / "items.jsonl")
            return [str(binary), *options, site.urls[0], items, *site.addresses]

        return made

    return [
        Contestant("colly", command(), repeats=True),
        Contestant("colly, own seen-set", command("-own")),
    ]


def peers(python: Path, home: Path) -> list[Contestant]:
    """All others. ``python``: of the virtual environment that has them."""
    return [
        scripted("scrapy", python, "scrapy_default.py"),
        scripted("scrapy, own seen-set", python, "scrapy_seen.py"),
        scripted("crawlee parsel", python, "crawlee_parsel.py"),
        *colly(home),
    ]
