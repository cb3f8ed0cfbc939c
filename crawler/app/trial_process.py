"""One look at one page, in a process of its own: ``python -m crawler.app.trial_process``.

A worker starts it. It reads a JSON object from its standard input (``settings`` as a child is told
them; ``asked``: ``url``, with ``definition`` and ``rule`` unless one is to be proposed), and writes
one to its standard output: ``found``, or ``refused``, a sentence. Pages are strangers' bytes, so it
parses them apart from the process that holds the worker's lease, for a bounded time.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop

from crawler.app import trial
from crawler.app.trials import LIMIT_S
from crawler.definition import from_json
from crawler.engine.extract import Extraction
from crawler.errors import CrawlerError, InvalidInput
from crawler.telemetry import logs

_CPU_S = 20
# Of a page, so much is shown; the counts tell how much there is.
_MOST_ITEMS, _MOST_LINKS, _MOST_FIELDS = 50, 200, 500


async def look(settings: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    """What is found: an object for a trial, a definition in TOML otherwise."""
    url, allowed = asked["url"], settings["allow_private"]
    if "definition" not in asked:
        return await trial.propose(url, allow_private=allowed)
    definition = from_json(asked["definition"])
    if definition.spider is not None:
        raise InvalidInput(
            "spider: code is tried where it is written: `crawler try FILE.py URL`", field="spider"
        )
    found = await trial.try_page(
        definition, url, rule=asked["rule"] or None, allow_private=allowed, entrusted=settings
    )
    return _bounded(as_json(found))


def as_json(found: Extraction) -> dict[str, Any]:
    """What a page yielded, for programs."""
    return {
        "rule": found.rule,
        "items": [dataclasses.asdict(item) for item in found.items],
        "unfinished": None if found.part is None else dict(found.part.fields),
        "links": [
            {
                "url": link.url,
                "to": link.to,
                "method": link.method or "GET",
                "body": None if link.body is None else link.body.decode("utf-8", "replace"),
                "carry": dict(link.carry),
            }
            for link in found.links
        ],
        "errors": list(found.errors),
        "fields": [
            {
                "field": each.field,
                "match": each.match,
                "value": each.value,
                "matched": each.matched,
                "selector": each.selector,
                "problem": each.problem,
            }
            for each in found.trace
        ],
    }


def _bounded(found: dict[str, Any]) -> dict[str, Any]:
    items, links, fields = found["items"], found["links"], found["fields"]
    return {
        **found,
        "items": items[:_MOST_ITEMS],
        "item_count": len(items),
        "links": links[:_MOST_LINKS],
        "link_count": len(links),
        "fields": fields[:_MOST_FIELDS],
    }


def main(arguments: Sequence[str]) -> None:
    """Answer once; whoever asked may be gone before, so that the end comes by itself."""
    del arguments
    signal.alarm(LIMIT_S + 5)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    logs.configure("error")  # to the standard error
    order = json.loads(sys.stdin.buffer.read())
    try:
        answer = {"found": uvloop.run(look(order["settings"], order["asked"]))}
    except CrawlerError as error:
        answer = {"refused": str(error), "field": getattr(error, "field", "")}
    sys.stdout.write(json.dumps(answer, default=str))


if __name__ == "__main__":
    main(sys.argv)
