"""A site and people that try to run code in the console: all of it is shown as text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from crawler.web.server import serve
from tests.acceptance.cluster import Cluster, eventually, request
from tests.browser import Window, open_browser, open_window

pytestmark = pytest.mark.timeout(120)

# Each calls `alert`, which a window remembers, wherever it is taken for more than text.
CANARY = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>${alert(3)}{{alert(4)}}"
SCRIPT_URL = "javascript:alert(5)"
PATHS = (f"/{quote(CANARY)}", "/%3Csvg%20onload=alert(6)%3E")
PAGE = f"""<!doctype html><title>{CANARY}</title><h1></h1><p class="name"></p>
<a class="p" href="{PATHS[0]}">1</a><a class="p" href='{PATHS[1]}'>2</a>
<a class="p" href="{SCRIPT_URL}">3</a><script>document.title = "run";</script>"""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Its texts, addresses and types of content are canaries."""

    async def answer(asked: web.Request) -> web.Response:
        if asked.path == "/robots.txt":
            raise web.HTTPNotFound
        if asked.path.startswith("/%3Csvg") or "<svg" in asked.path:
            return web.Response(status=500, text=CANARY)
        escaped = CANARY.replace("&", "&amp;").replace("<", "&lt;")
        text = PAGE.replace("<h1>", f"<h1>{escaped}").replace('"name">', f'"name">{SCRIPT_URL}')
        return web.Response(text=text, headers={"Content-Type": 'text/html; x="<b>alert(7)</b>"'})

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with serve(app, "127.0.0.1", 0, grace_s=0.1) as port:
        yield f"http://127.0.0.1:{port}"


def definition(site: str) -> dict[str, object]:
    rule = {
        "name": "all",
        "match": f"{site}/**",
        "follow": [{"css": "a.p"}],
        "item": {
            "title": {"css": "h1::text"},
            "link": {"css": "p.name::text"},
            "canary": {"css": "title::text", "default": CANARY},
        },
    }
    return {
        "start_urls": [f"{site}/?q={quote(CANARY)}"],
        "rules": [rule],
        "user_agent": "x/1 <script>alert(8)</script>",
        "download_delay": 0.0,
        "retry_times": 0,
    }


async def test_nothing_that_a_site_says_is_run(cluster: Cluster, site: str) -> None:
    await cluster.complete("1", "1")
    base = cluster.url("1")
    async with (
        aiohttp.ClientSession(base, headers={"X-Request-Id": CANARY}) as http,
        http.put("/crawler/resource/evil", json=definition(site)) as answer,
    ):
        assert answer.status in (200, 202)

    async def finished() -> bool | None:
        _, shown = await request("GET", f"{base}/crawler/resource/evil")
        return shown["state"] == "finished" or None

    await eventually(finished, "end of the crawl", 30)
    _, listed = await request("GET", f"{base}/crawler/resource/evil/pages")
    assert {page["state"] for page in listed["pages"]} == {"done", "failed"}
    async with (
        open_browser() as browser,
        open_window(browser, base + "/") as window,
    ):
        page = window.page
        for path in ("", "resources", "nodes", "tasks", "events", "resources/evil"):
            await _look(window, base, path)
        await _look(window, base, "resources/evil?tab=history")
        await expect(page.get_by_role("cell", name=CANARY).first).to_be_visible()  # the request
        await _look(window, base, "resources/evil?tab=pages")
        await expect(page.locator(".pages .entry")).to_have_count(len(listed["pages"]))
        for each in listed["pages"]:
            await _look(window, base, f"resources/evil/url?key={each['key']}")
            await expect(page.locator(".address a")).to_have_text(each["url"])
        await _look(window, base, "resources/evil?tab=items")
        await expect(page.get_by_text(CANARY).first).to_be_visible()
        assert await page.locator(f'a[href^="{SCRIPT_URL}"]').count() == 0
        await _look(window, base, "resources/evil?tab=definition")
        await page.get_by_label("URL").fill(f"{site}/")
        await page.get_by_role("button", name="Fetch and show").click()
        await expect(page.locator(".found")).to_contain_text(CANARY, timeout=30_000)
        await page.get_by_label("definition of evil").fill(f"x = '''{CANARY}'''\n{CANARY}")
        await expect(page.locator(".problems")).to_be_visible()
        hostile = (f"url?url={quote(SCRIPT_URL)}", f"url?url={quote(site + PATHS[1] + CANARY)}")
        for path in (
            f"resources/{quote(CANARY, safe='')}",
            *(f"resources/evil/{p}" for p in hostile),
        ):
            await _look(window, base, path)
            await expect(page.locator(".trouble").first).to_be_visible()
        links: list[str] = await page.evaluate("[...document.links].map((each) => each.protocol)")
        assert set(links) <= {"http:", "https:"}
        await window.check()


async def _look(window: Window, base: str, path: str) -> None:
    """Load a page, and let it show what it has."""
    page: Page = window.page
    await page.goto(f"{base}/?{len(path)}#/{path}")  # another query: it is loaded anew
    await expect(page.locator("h1")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    assert await page.locator("main script, main img, main svg, main iframe").count() == 0
    assert await page.evaluate("document.title !== 'run'")
    await window.check()


async def test_nothing_foreign_is_loaded(cluster: Cluster) -> None:
    """Everything comes from the master, and the policy is sent with the page."""
    cluster.start_master("1")
    await cluster.wait_ready("1")
    base = cluster.url("1")
    asked: list[str] = []
    async with open_browser() as browser, open_window(browser, "about:blank") as window:
        window.page.on("request", lambda each: asked.append(each.url))
        async with window.page.expect_request(base + "/crawler/events"):  # news
            answer = await window.page.goto(base + "/")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        await expect(window.page.get_by_role("heading", name="Overview")).to_be_visible()
        assert len(asked) > 20
        assert all(url.startswith(base) for url in asked)
        # The policy holds: what somebody got into the page would not run.
        await window.page.evaluate(
            "document.body.append(Object.assign(document.createElement('img'),"
            " {src: 'https://evil.example/x.png'}))"
        )
        assert await window.breaches() != []
