"""A worker's trials for real: a process per page, which ends whatever it meets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from crawler.app.trials import AT_ONCE, Trials
from crawler.errors import Exhausted, InvalidInput
from crawler.web.server import serve

PAGE = '<html><title>Lamps</title><h1>Lamp</h1><a class="next" href="/2">on</a></html>'
SETTINGS: dict[str, Any] = {
    "allow_private": ["127.0.0.0/8"],
    "secrets": {},
    "proxy_pools": {},
    "browser": None,
}


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """One page, one that is not there, and one that never comes."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.Event().wait()
        if request.path != "/":
            raise web.HTTPNotFound
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{any:.*}", page)
    async with serve(app, "127.0.0.1", 0, grace_s=0.1) as port:
        yield f"http://127.0.0.1:{port}"


def definition(site: str) -> str:
    rule = {"name": "all", "match": f"{site}/**", "item": {"name": {"css": "h1::text"}}}
    return json.dumps({"start_urls": [site + "/"], "rules": [rule], "robotstxt_obey": False})


async def test_a_page_is_read_by_its_rule(site: str) -> None:
    found = json.loads(await Trials(SETTINGS).try_page(definition(site), site + "/", "all"))
    assert (found["rule"], found["item_count"]) == ("all", 1)
    assert found["items"][0]["fields"] == {"name": "Lamp"}
    [field] = found["fields"]
    assert (field["field"], field["value"], field["matched"]) == ("name", "Lamp", 1)


async def test_a_definition_is_proposed(site: str) -> None:
    assert f'"{site}/"' in await Trials(SETTINGS).propose(site + "/")


@pytest.mark.parametrize(
    ("path", "rule", "told"),
    [("/3", "", "HTTP 404"), ("/", "other", "rule: there is all")],
)
async def test_what_cannot_be_shown_says_why(site: str, path: str, rule: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        await Trials(SETTINGS).try_page(definition(site), site + path, rule)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"proxy_pool": "far"}, "proxy_pool: this worker has no pool far"),
        ({"headers": {"Key": "${secret:key}"}}, "secret"),
    ],
)
async def test_what_the_worker_has_not_got_is_named(
    site: str, setting: dict[str, Any], told: str
) -> None:
    wanted = json.dumps({**json.loads(definition(site)), **setting})
    with pytest.raises(InvalidInput, match=told):
        await Trials(SETTINGS).try_page(wanted, site + "/", "")


async def test_private_addresses_are_refused_unless_the_worker_allows_them(site: str) -> None:
    closed = Trials({**SETTINGS, "allow_private": []})
    for call in (closed.propose(site + "/"), closed.try_page(definition(site), site + "/", "")):
        with pytest.raises(InvalidInput, match="address refused"):
            await call


async def test_a_page_that_takes_too_long_is_given_up(site: str) -> None:
    with pytest.raises(InvalidInput, match="longer than 1 s"):
        await Trials(SETTINGS, limit_s=1.0).propose(site + "/slow")


async def test_so_many_at_once(site: str) -> None:
    trials = Trials(SETTINGS, limit_s=3.0)
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(_refused(trials.propose(site + "/slow"))) for _ in range(AT_ONCE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Exhausted):
            await trials.propose(site + "/")
    assert all("longer than" in task.result() for task in waiting)


async def _refused(call: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        await call  # type: ignore[misc]
    return str(caught.value)
