"""One of a worker's crawling processes: ``python -m crawler.app.child``, started by a worker only.

It imports no more than crawling needs: how soon it is up is part of how soon a crawl goes on.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from crawler.app.garbage import settle
from crawler.app.spiders import open_spider
from crawler.clock import SystemClock
from crawler.definition import from_json
from crawler.definition.secrets import read_secrets
from crawler.engine.browser.pool import Browser
from crawler.engine.crawl import Crawl
from crawler.engine.settings import EngineSettings, read_pools
from crawler.engine.urls.memory import Memory
from crawler.store import open_store
from crawler.store.contract import Job
from crawler.telemetry import logs
from crawler.telemetry.recent import RECENT
from crawler.telemetry.traces import PAGE_SHARE, send_spans
from crawler.worker.child import CrawlJob, Hear, JobReport, Parsing, serve_child
from crawler.worker.order import JobOrder


@asynccontextmanager
async def prepare(
    settings: Mapping[str, Any], hears: Callable[[Hear], None]
) -> AsyncIterator[CrawlJob]:
    """What all jobs of one child share."""
    fields = {"node": settings["node"]}
    logs.configure(settings["log_level"], settings["log_format"], fields=fields, recent=RECENT)
    clock = SystemClock()
    store = await open_store(settings["store"], clock, name=settings["node_id"])
    engine = EngineSettings(
        allow_private=tuple(settings["allow_private"]),
        secrets=read_secrets(settings["secrets"]),
        proxy_pools=read_pools(settings["proxy_pools"]),
        browser=settings["browser"],
        files=Path(settings["files"]),
    )
    browser, memory = Browser(engine), Memory()
    cache, stack = None, AsyncExitStack()
    if settings["cache"] is not None:
        from crawler.app.kept_pages import open_kept  # only who uses it pays for it

        opening = open_kept(settings["cache"], settings["node_id"], clock)
        cache, hear = await stack.enter_async_context(opening)
        hears(hear)

    async def crawl(order: JobOrder, parsing: Parsing, report: JobReport) -> str:
        definition = from_json(order.definition)
        job = Job(
            order.name,
            order.run,
            order.definition,
            order.definition_revision,
            order.node,
            order.parts,
            order.due,
            tuple(sink.name for sink in definition.sinks),
            definition.recipe(),
            definition.recrawl.unlinked == "keep",
            order.request_id,
        )
        frontier = await store.claim(order.stamp, job)
        for strike in order.strikes:
            await frontier.strike(bytes.fromhex(strike.fingerprint), strike.reason)
        report.started()
        # The holder is the part, not the process: a successor, whose claim fenced its predecessor,
        # goes on with the turns of that instead of waiting for their end.
        turns = store.budgets(f"{order.resource_id}/{order.part}")
        spider = None
        if definition.spider is not None:
            definition, spider = await open_spider(definition, Path(settings["files"]))
        return await Crawl(
            definition,
            frontier,
            turns,
            settings=engine,
            parsing=parsing,
            report=report.live,
            clock=clock,
            spider=spider,
            memory=memory,
            browser=browser,
            cache=cache,
        ).run()

    try:
        node = settings["node"]
        with send_spans(settings["traces"], "crawler-worker", node, share=PAGE_SHARE):
            async with browser, stack:
                yield crawl
    finally:
        await store.close()


if __name__ == "__main__":
    settle()
    sys.exit(uvloop.run(serve_child(prepare)))
