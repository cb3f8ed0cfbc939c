"""`crawler run`: one crawl here and now, without a cluster."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from crawler.cli import exits, items, options, terminal
from crawler.model import Progress

if TYPE_CHECKING:
    from crawler.app.spiders import Loaded, SpiderReader
    from crawler.definition import Definition

_LINE_EVERY_S = 5.0
_FAILED_SHOWN = 5


class HostWait(Protocol):
    """A host for which requests are at hand."""

    @property
    def host(self) -> str: ...
    @property
    def queued(self) -> int: ...
    @property
    def reason(self) -> str: ...


class Live(Protocol):
    """What a running crawl tells about itself."""

    @property
    def pages_per_s(self) -> float: ...
    @property
    def waiting(self) -> str: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def hosts(self) -> Sequence[HostWait]: ...


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL", help="a definition, a spider.py, a site, or - for stdin"
        ),
    ],
    output: items.Output = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="where it is kept, to go on after a stop"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="a crawl that is finished, anew from its start")
    ] = False,
    settings: options.Settings = None,
    allow_private: options.Allow = None,
    config: options.Entrusted = None,
    spider: options.Spider = None,
    log_level: options.LogLevel = None,
) -> None:
    """Crawl here and now; needs no cluster. The same command goes on where it was stopped.

    `crawler run https://example.org/ -s max_pages=100 -o items.csv`
    """
    from crawler.app.source import read_crawl
    from crawler.cli.formats import check_target
    from crawler.config import read_entrusted, read_level, read_networks
    from crawler.definition import doubts
    from crawler.local.lock import hold_directory
    from crawler.telemetry import logs

    if output is not None:
        check_target(output)  # before the crawl, not after it
    definition, loaded = read_crawl(source, spider, settings or ())
    terminal.warn(source, doubts(definition))
    if definition.schedule is not None:
        terminal.warn(source, ["schedule: run crawls once, now; on a cluster it is kept"])
    if definition.partitions > 1:
        terminal.warn(source, ["partitions: run crawls in one process; on a cluster it is divided"])
    networks, entrusted = read_networks(allow_private or ()), read_entrusted(config)
    logs.configure(read_level(log_level or "error"))
    home = Path(data).expanduser().absolute() if data else default_home(definition, loaded)
    with hold_directory(home, "crawler run"):
        try:
            progress, was_over = _crawl(definition, loaded, home, networks, entrusted, again=again)
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on. {_kept_in(home)}", file=sys.stderr)
            raise
        _tell_sinks(definition, home, networks, entrusted, early=was_over)
        _export(home, output, definition)
        _tell_failed(home, progress)
    if progress.failed and not progress.done:
        raise typer.Exit(exits.FAILED)


def _kept_in(home: Path) -> str:
    """How to get at what is stored already."""
    from crawler.app.here import LOCAL, local_url

    store = shlex.quote(local_url(home))
    return f"What it has found so far: crawler items {LOCAL} --store {store} -o items.jsonl"


def default_home(definition: Definition, loaded: Loaded | None = None) -> Path:
    """The same directory for the same definition, so that a second run goes on with the first; with
    a spider, for the same file of it, too, whatever code is in there by then."""
    from crawler.config import data_home

    title = definition.spider or definition.hosts()[0]
    text = definition.canonical() + (loaded.origin if loaded is not None else "")
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return data_home() / "run" / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', title)[:60]}-{digest}"


def told(progress: Progress) -> str:
    """How a crawl ended, in one line."""
    parts = [f"{progress.done:,} pages", f"{progress.items:,} items"]
    for figure, word in (
        (progress.incomplete_items, "incomplete"),
        (progress.unchanged, "pages unchanged"),
        (progress.failed, "failed"),
        (progress.excluded, "excluded"),
        (progress.pending, "still pending"),
    ):
        if figure:
            parts.append(f"{figure:,} {word}")
    return f"{progress.finished or 'not finished'}: {', '.join(parts)}"


def _crawl(
    definition: Definition,
    loaded: Loaded | None,
    home: Path,
    networks: tuple[str, ...],
    entrusted: Mapping[str, Any],
    *,
    again: bool,
) -> tuple[Progress, bool]:
    """Crawl, unless that is done already; either way it is told how it stands. The bool says
    whether it was."""
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app.garbage import settle
    from crawler.app.here import crawl_here, look_here

    settle()
    before = uvloop.run(look_here(home))
    if before is not None and before.progress.finished and not again:
        changed = before.definition != definition.canonical()
        print(told_before(before.progress, before.finished_at, changed=changed), file=sys.stderr)
        return before.progress, True
    run = before.run + bool(before.progress.finished) if before is not None else 1
    with _shown() as on_live, _begun(loaded, home) as spider:
        starts = definition.hosts() if spider is None else spider.hosts()
        progress = uvloop.run(
            crawl_here(
                definition,
                home,
                run=run,
                allow_private=networks,
                hosts=loopback_hosts(starts),
                entrusted=entrusted,
                on_live=on_live,
                spider=spider,
            )
        )
    print(told(progress), file=sys.stderr)
    _tell_stats(home)
    return progress, False


@contextmanager
def _begun(loaded: Loaded | None, home: Path) -> Iterator[SpiderReader | None]:
    """The spider at work, if there is one. What it prints goes to standard error, for standard
    output is for items."""
    if loaded is None:
        yield None
        return
    with redirect_stdout(sys.stderr):
        yield loaded.open(home)


def _tell_sinks(
    definition: Definition,
    home: Path,
    networks: tuple[str, ...],
    entrusted: Mapping[str, Any],
    *,
    early: bool,
) -> None:
    """Deliver what sinks have yet to get, also of a crawl that was over before, and say how far
    they are. ``early``: those that were put off are asked, too."""
    if not definition.sinks:
        return
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app.here import SINKS, deliver_here
    from crawler.cli.show import sink_line

    hosts = loopback_hosts(definition.hosts())
    delivering = deliver_here(
        home, allow_private=networks, hosts=hosts, entrusted=entrusted, early=early
    )
    for each in uvloop.run(delivering):
        print(
            f"sink {each.sink}, run {each.run}: {terminal.safe(sink_line(each))}", file=sys.stderr
        )
    if any(sink.kind == "file" for sink in definition.sinks):
        print(f"files of sinks are in {home / SINKS}", file=sys.stderr)


def told_before(progress: Progress, finished_at: float, *, changed: bool) -> str:
    """How a crawl that is over stands, and the way to crawl again."""
    when = time.strftime(" on %Y-%m-%d at %H:%M:%S", time.localtime(finished_at))
    over = f"this crawl ended{when if finished_at else ' before'} ({told(progress)})"
    return f"{over}; --again crawls anew{', by the changed definition' if changed else ''}"


def _tell_failed(home: Path, progress: Progress) -> None:
    """Some of the pages that failed, and how to see them all."""
    if not progress.failed:
        return
    from crawler.app.here import LOCAL, PRIVATE, REFUSED, failed_here, local_url
    from crawler.cli.kept import drawn

    with closing(drawn(failed_here(home))) as failed:
        shown = list(islice(failed, _FAILED_SHOWN))
    for page in shown:
        way = f" ({PRIVATE})" if page.reason.endswith(REFUSED) else ""
        print(
            f"failed: {terminal.safe(page.url)}  {terminal.safe(page.reason)}{way}", file=sys.stderr
        )
    if progress.failed > len(shown):
        command = f"crawler pages {LOCAL} --status failed --store {shlex.quote(local_url(home))}"
        print(f"and {progress.failed - len(shown):,} more: {command}", file=sys.stderr)


def _tell_stats(home: Path) -> None:
    """All figures of the run, as Scrapy ends with."""
    import uvloop

    from crawler.app.here import LOCAL, local_url
    from crawler.app.kept import kept_stats
    from crawler.cli.stats import rows

    for name, figure in rows(uvloop.run(kept_stats(local_url(home), LOCAL))):
        print(f"  {name}: {terminal.safe(figure)}", file=sys.stderr)


def _export(home: Path, output: str | None, definition: Definition) -> None:
    """To the file, or to whoever reads our output; a terminal is told where the items are."""
    from crawler.app.here import export_here
    from crawler.cli.kept import drawn

    if output is None and terminal.is_terminal():
        print(
            f"items are kept in {home}; -o items.jsonl (.json, .csv) writes them", file=sys.stderr
        )
        return
    with closing(drawn(export_here(home))) as found:
        items.export(found, output, definition.model_dump(mode="json", exclude_defaults=True))


@contextmanager
def _shown() -> Iterator[Callable[[Live], None]]:
    """How progress is shown on standard error: a bar, or a line now and then."""
    if not sys.stderr.isatty():
        yield _line_now_and_then()
        return
    from rich.console import Group
    from rich.live import Live as Screen
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages  {task.fields[rate]:.1f}/s  {task.fields[items]:,} items"),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[waiting]}", style="bright_black"),
    )
    console = terminal.console(stderr=True)
    bar = Bar(*columns, console=console)
    task = bar.add_task("crawl", total=None, rate=0.0, items=0, left="", waiting="")
    with Screen(bar, console=console, transient=True) as screen:

        def show(live: Live) -> None:
            now = live.progress
            bar.update(
                task,
                completed=now.known - now.pending,
                total=now.known or None,
                rate=live.pages_per_s,
                items=now.items,
                left=terminal.time_left(now.pending, live.pages_per_s),
                waiting=terminal.safe(live.waiting)[:60],
            )
            lines = (Text(f"  {line}", style="bright_black") for line in told_hosts(live.hosts))
            screen.update(Group(bar, *lines))

        yield show


def _line_now_and_then() -> Callable[[Live], None]:
    last = time.monotonic()

    def show(live: Live) -> None:
        nonlocal last
        if time.monotonic() - last < _LINE_EVERY_S:
            return
        last = time.monotonic()
        now = live.progress
        parts = (
            f"{now.known - now.pending:,}/{now.known:,} pages",
            f"{live.pages_per_s:.1f}/s",
            f"{now.items:,} items",
            terminal.time_left(now.pending, live.pages_per_s),
        )
        print("  ".join(filter(None, parts)), file=sys.stderr)
        for line in told_hosts(live.hosts):
            print(f"  {line}", file=sys.stderr)

    return show


def told_hosts(hosts: Sequence[HostWait]) -> list[str]:
    """``shop.example: next in 0.7 s, because Crawl-delay (12 at hand)`` for those that wait."""
    return [
        f"{terminal.safe(each.host)}: {terminal.safe(each.reason)} ({each.queued:,} at hand)"
        for each in hosts
        if each.reason
    ]
