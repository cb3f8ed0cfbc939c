"""What became of one URL, line by line: found, asked for again and again, read."""

from __future__ import annotations

import asyncio
import json
import time

from crawler.cli import terminal
from crawler.cli.calls import as_json as plain
from crawler.cli.calls import connect, short_node
from crawler.model import PageState
from crawler.story import Attempt, Story

_OUTCOMES = {PageState.PENDING: "to be tried again", PageState.FAILED: "given up"}


def find(name: str, url: str, key: str, run: int | None, store: str | None, master: str) -> Story:
    """Of a master, or of a database; by a URL, or by the key of a page."""
    if store is None:
        with connect(master, list_with=f"pages {name}") as client:
            return client.story(name, url, key=key, run=run)
    from crawler.app.kept import kept_story
    from crawler.config import read_store
    from crawler.telemetry import logs

    logs.configure("error")
    return asyncio.run(kept_story(read_store(store), name, url, key=key, run=run))


def tell(story: Story, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        terminal.print_json(plain(story))
        return
    for label, text in lines(story):
        print(f"{label:9} {terminal.safe(text)}")


def lines(story: Story) -> list[tuple[str, str]]:
    """Each with its label."""
    page = story.page
    state = page.state if page.reason in ("", page.state) else f"{page.state} ({page.reason})"
    asked = page.url if story.method == "GET" else f"{page.url} by {story.method}"
    told = [("url", asked), ("state", f"{state}, in run {story.run}"), ("found", _found(story))]
    told += [("attempt", _attempt(each)) for each in story.attempts]
    if page.state is PageState.PENDING:
        told.append(("due", _date(story.not_before) if story.not_before else "now, at its turn"))
    if story.final_url not in ("", page.url):
        told.append(("led to", story.final_url))
    if page.state is PageState.DONE:
        told.append(("read by", f"rule {page.rule}" if page.rule else "no rule of its own"))
    told += [("item", json.dumps(item.fields, ensure_ascii=False)) for item in story.items]
    told += [("links to", url) for url in story.found]
    earlier = (each for each in story.runs if each.run != story.run)
    told += [(f"run {each.run}", f"{each.state} {each.reason}".strip()) for each in earlier]
    return told


def _found(story: Story) -> str:
    page = story.page
    if not page.found_on:
        return "a start URL, or one of a sitemap"
    return f"on {page.found_on}, at depth {page.depth}"


def _attempt(attempt: Attempt) -> str:
    answer = f"HTTP {attempt.status}" if attempt.status else "no answer"
    spent = f" after {_span(attempt.elapsed_s)}" if attempt.elapsed_s else ""
    node = f" at {short_node(attempt.node)}" if attempt.node else ""
    why = f": {attempt.reason}" if attempt.reason.lower() not in ("", answer.lower()) else ""
    outcome = _OUTCOMES.get(attempt.state)
    return f"{_date(attempt.at)} {answer}{spent}{node}{why}" + (f"; {outcome}" if outcome else "")


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
