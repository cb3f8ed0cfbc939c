"""Pages in a real Chromium: what scripts make of them, under the same rules as other pages."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.browser.pool import Bounds, Browser
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.engine.single import open_single
from crawler.errors import Misconfigured
from crawler.model import PageState, Visit
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = EngineSettings(allow_private=("127.0.0.1/32",), batch_s=0.05)
KINDS = {"js": "text/javascript", "json": "application/json", "png": "image/png"}


@dataclass
class Site:
    """Answers by path, and what was asked."""

    pages: dict[str, str]
    robots: str = ""
    hits: Counter[str] = field(default_factory=Counter)
    requests: dict[str, web.Request] = field(default_factory=dict)
    agents: set[str] = field(default_factory=set)
    beaten: asyncio.Event = field(default_factory=asyncio.Event)  # "/beat" was asked for

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.hits[path] += 1
        self.requests[path] = request
        self.agents.add(request.headers.get("User-Agent", ""))
        if path == "/beat":
            self.beaten.set()
        if path == "/robots.txt":
            return web.Response(text=self.robots)
        if path == "/socket":
            return await self.speak(request)
        if path == "/moved":
            raise web.HTTPFound("/")
        if path == "/endless":
            return await self.stream(request)
        if path not in self.pages:
            return web.Response(status=404)
        kind = KINDS.get(path.rpartition(".")[2], "text/html")
        headers = {"ETag": '"1"'}
        if path == "/file":
            headers["Content-Disposition"] = "attachment"
        return web.Response(text=self.pages[path], content_type=kind, headers=headers)

    async def speak(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("by websocket")
        await socket.close()
        return socket

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with Browser(SETTINGS) as shared, shared.joined("these tests"):
        yield shared


async def crawled(
    browser: Browser,
    site: Site,
    start: str = "/",
    rule: Mapping[str, Any] | None = None,
    **more: Any,
) -> tuple[dict[str, Visit], list[Any]]:
    """Visits by path, and the values of the field ``out``."""
    async with serving(site.handle) as origin:
        shown = {
            "match": f"{origin}/**",
            "fetcher": "browser",
            "follow": ["a"],
            "item": {"out": "#out::text"},
            **(rule or {}),
        }
        start_urls = [f"{origin}{start}"]
        definition = {"start_urls": start_urls, "download_delay": 0.0, "rules": [shown], **more}
        run = await crawl(browser, definition)
    visits = {
        row.request.url.removeprefix(origin): row.visit
        for row in run.rows.values()
        if row.visit is not None
    }
    return visits, [item.fields["out"] for items in run.items.values() for item in items]


async def crawl(browser: Browser, definition: Mapping[str, Any]) -> MemoryRun:
    clock = SystemClock()
    run = MemoryRun(clock)
    crawl = Crawl(
        from_data(definition),
        run.claim(),
        HostBook(clock).budgets("test"),
        settings=SETTINGS,
        parsing=lambda _: None,
        report=lambda _: None,
        browser=browser,
    )
    async with asyncio.timeout(90):
        await crawl.run()
    return run


def reason(visits: Mapping[str, Visit], path: str = "/") -> tuple[PageState, str]:
    return visits[path].state, visits[path].reason


async def test_what_scripts_make_of_a_page_is_its_content(browser: Browser) -> None:
    site = Site(
        {
            "/": "<meta charset=utf-8><p id=out></p><script src=app.js></script>",
            "/app.js": """
                fetch('/data.json').then(answer => answer.json()).then(data => {
                    document.querySelector('#out').textContent = data.name;
                    document.body.insertAdjacentHTML('beforeend', '<a href="/two">two</a>');
                });""",
            "/data.json": '{"name": "Gr\u00fc\u00dfe"}',
            "/two": "<p id=out>plain</p>",
        }
    )
    visits, found = await crawled(browser, site, user_agent="shopbot/2 (+https://bot.example)")
    assert found == ["Gr\u00fc\u00dfe", "plain"]
    assert site.hits == Counter(["/robots.txt", "/", "/app.js", "/data.json", "/two"])
    assert site.agents == {"shopbot/2 (+https://bot.example)"}
    assert visits["/"].status == 200
    assert visits["/"].content_type == "text/html"
    loaded = sum(len(site.pages[path].encode()) for path in ("/", "/app.js", "/data.json"))
    assert loaded <= visits["/"].size_bytes <= loaded + 2000  # heads of answers
    assert 0.0 < visits["/"].elapsed_s < 60.0


async def test_images_are_loaded_on_request_only(browser: Browser) -> None:
    site = Site({"/": "<img src=/a.png><p id=out>x</p>", "/a.png": ""})
    await crawled(browser, site)
    assert site.hits["/a.png"] == 0
    await crawled(browser, site, rule={"browser": {"load": ["images"]}})
    assert site.hits["/a.png"] == 1


async def test_a_page_is_ready_when_what_it_is_waited_for_is_there(browser: Browser) -> None:
    late = """<script>
        setTimeout(() => document.body.innerHTML = '<p id=out>late</p>', 2500);
    </script>"""
    site = Site({"/": late})
    _, found = await crawled(browser, site)
    assert found == []
    _, found = await crawled(browser, site, rule={"browser": {"wait_for": "#out"}})
    assert found == ["late"]


async def test_a_page_that_goes_elsewhere_by_itself_is_a_redirect(browser: Browser) -> None:
    site = Site(
        {
            "/": "<script>location.href = '/private'</script><a href=/out>x</a><a href=/on>x</a>",
            "/out": "<meta http-equiv=refresh content='0;url=http://127.0.0.2:9/'>",
            "/on": "<script>location.replace('/end')</script>",
            "/soon": "<meta http-equiv=refresh content='3;url=/end'>One moment",
            "/end": "<p id=out>end</p>",
        },
        robots="User-agent: *\nDisallow: /private\n",
    )
    visits, _ = await crawled(browser, site, "/out", allowed_domains=["127.0.0.1"])
    assert reason(visits, "/out") == (PageState.DONE, "redirect out of scope")
    visits, found = await crawled(browser, site, "/on")
    assert reason(visits, "/on") == (PageState.DONE, "redirect")
    assert found == ["end"]
    visits, found = await crawled(browser, site, "/soon")
    assert reason(visits, "/soon") == (PageState.DONE, "redirect")
    assert found == ["end"]
    visits, _ = await crawled(browser, site)
    assert reason(visits, "/") == (PageState.DONE, "redirect")
    assert reason(visits, "/private") == (PageState.EXCLUDED, "robots.txt")
    assert site.hits["/private"] == 0


async def test_redirects_and_refusals_of_servers_are_those_of_other_pages(browser: Browser) -> None:
    site = Site(
        {"/": "<p id=out>home</p><a href=/gone>x</a><a href=/feed.json>x</a>", "/feed.json": "{}"}
    )
    visits, found = await crawled(browser, site, "/moved")
    assert reason(visits, "/moved") == (PageState.DONE, "redirect")
    assert reason(visits, "/gone") == (PageState.FAILED, "http 404")
    assert visits["/feed.json"].content_type == "application/json"
    assert found == ["home"]


async def test_empty_pages_and_files_of_html_are_pages(browser: Browser) -> None:
    file = "<script>document.write('<p id=out>file</p>')</script>"
    site = Site({"/": "<a href=/file>x</a><a href=/empty>x</a>", "/file": file, "/empty": ""})
    visits, found = await crawled(browser, site)
    assert [visit.state for visit in visits.values()] == [PageState.DONE] * 3
    assert found == ["file"]


async def test_what_a_page_loads_obeys_robots_txt_and_scope(browser: Browser) -> None:
    outside = Site({"/frame": "outside", "/lib.js": "document.body.dataset.lib = 'loaded'"})
    async with serving(outside.handle) as elsewhere:
        site = Site(
            {
                "/": f"""<iframe src="{elsewhere}/frame"></iframe><iframe src="/inside"></iframe>
                    <iframe src="/private/frame"></iframe><script src="{elsewhere}/lib.js"></script>
                    <script>
                        fetch('/private/data');
                        window.open('{elsewhere}/window');
                        const socket = new WebSocket('ws://' + location.host + '/socket');
                        socket.onmessage = message => out.textContent = message.data;
                    </script><p id=out></p>""",
                "/inside": "<script>fetch('/from-inside')</script>",
            },
            robots="User-agent: *\nDisallow: /private\n",
        )
        rule = {"item": {"out": "#out::text", "lib": "body::attr(data-lib)"}}
        _, found = await crawled(browser, site, rule=rule)
    assert found == ["by websocket"]
    assert outside.hits == Counter(["/lib.js"])
    assert site.hits == Counter(["/robots.txt", "/", "/inside", "/from-inside", "/socket"])


async def test_where_robots_txt_is_not_obeyed_frames_are_loaded_all_the_same(
    browser: Browser,
) -> None:
    site = Site({"/": "<iframe src=/inside></iframe><p id=out>x</p>", "/inside": ""})
    await crawled(browser, site, robotstxt_obey=False)
    assert site.hits == Counter(["/", "/inside"])


async def test_a_session_goes_through_a_wall_of_scripts_and_cookies(browser: Browser) -> None:
    wall = """<p id=out></p><script>
        if (document.cookie) { out.textContent = 'in ' + document.cookie }
        else { document.cookie = 'key=42; path=/'; location.reload() }
    </script><a href=/two>two</a>"""
    site = Site({"/": wall, "/two": "<p id=out>two</p>"})
    _, found = await crawled(browser, site, cookies_enabled=True)
    assert found == ["in key=42", "two"]
    assert site.requests["/two"].headers["Cookie"] == "key=42"


async def test_a_crawl_without_cookies_keeps_nothing_from_page_to_page(browser: Browser) -> None:
    page = """<p id=out></p><script>
        out.textContent = document.cookie + (localStorage.seen || '') || 'clean';
        document.cookie = 'key=42; path=/'; localStorage.seen = 'seen';
    </script><a href=/two>two</a>"""
    site = Site({"/": page, "/two": page})
    _, found = await crawled(browser, site)
    assert found == ["clean", "clean"]
    assert "Cookie" not in site.requests["/two"].headers


async def test_crawls_take_turns_in_a_browser_and_share_no_session() -> None:
    page = """<p id=out></p><script>
        out.textContent = document.cookie || 'clean';
        document.cookie = 'key=42; path=/';
    </script><a href=/two>two</a>"""
    async with Browser(SETTINGS, Bounds(tabs=1)) as own:
        crawls = [
            crawled(own, Site({"/": page, "/two": page}), cookies_enabled=True) for _ in range(2)
        ]
        found = [items for _, items in await asyncio.gather(*crawls)]
    assert found == [["clean", "key=42"]] * 2


@pytest.mark.parametrize(
    ("page", "settings", "expected"),
    [
        ("<script>while (true);</script>", {"download_timeout": 2.0}, "render timeout"),
        (
            "<script>document.write('<p>' + 'x'.repeat(200000))</script>",
            {"download_maxsize": 100_000},
            "too large",
        ),
        (
            "<script>fetch('/endless')</script>",
            {"download_maxsize": 100_000},
            "page loads too much",
        ),
    ],
    ids=["endless script", "endless text", "endless data"],
)
async def test_what_never_ends_ends_with_its_reason(
    browser: Browser, page: str, settings: Mapping[str, Any], expected: str
) -> None:
    visits, _ = await crawled(browser, Site({"/": page}), retry_times=0, **settings)
    assert reason(visits) == (PageState.FAILED, expected)


def processes(leader: int, kind: str = "") -> list[int]:
    """Those of a browser by its first process: of this type (renderer, say), or all."""
    found = []
    for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
            fits = os.getsid(pid) == leader and (not kind or f"--type={kind}" in words)
        except OSError:
            continue
        if fits:
            found.append(pid)
    return found


def homes(root: Path) -> list[Path]:
    """What browsers keep there."""
    return list(root.glob("crawler-browser-*"))


@pytest.mark.parametrize(("kind", "expected"), [("", "browser died"), ("renderer", "page crashed")])
async def test_a_browser_that_dies_fails_its_page_and_is_started_again(
    kind: str, expected: str
) -> None:
    slow = "<p id=out>there</p><script>setInterval(() => fetch('/beat'), 100)</script>"
    site = Site({"/": slow})
    async with Browser(SETTINGS) as own, own.joined("this test"):
        with capture_logs() as logs:
            crawling = asyncio.create_task(crawled(own, site, retry_times=0))
            await site.beaten.wait()
        [leader] = [each["pid"] for each in logs if each["event"] == "browser started"]
        for pid in processes(leader, kind) if kind else [leader]:
            os.kill(pid, signal.SIGKILL)
        visits, _ = await crawling
        assert reason(visits) == (PageState.FAILED, expected)
        visits, found = await crawled(own, site)
        assert (reason(visits), found) == ((PageState.DONE, ""), ["there"])


def started(logs: Sequence[Mapping[str, Any]]) -> int:
    return sum(each["event"] == "browser started" for each in logs)


async def test_tabs_are_given_up_after_some_pages() -> None:
    links = "".join(f"<a href=/{n}>x</a>" for n in range(5))
    pages = {f"/{n}": "<p id=out>x</p>" for n in range(5)}
    site = Site({"/": f"<p id=out>x</p>{links}", **pages})
    with capture_logs() as logs:
        async with Browser(SETTINGS, Bounds(tabs=2, pages_per_tab=2)) as own:
            visits, found = await crawled(own, site, concurrent_requests_per_domain=4)
    assert [visit.state for visit in visits.values()] == [PageState.DONE] * 6
    assert found == ["x"] * 6
    assert started(logs) == 1


@pytest.mark.parametrize(
    ("megabytes", "expected"),
    [(400, PageState.DONE), (1200, PageState.FAILED)],
)
async def test_a_browser_that_grows_is_started_anew(megabytes: int, expected: PageState) -> None:
    """With 400 MB that can wait for the page's end, with 1,200 it cannot."""
    page = f"""<p id=out></p><script>
        const kept = [];
        for (let n = 0; n < {megabytes // 100}; n++)
            kept.push(new Uint8Array(100 << 20).fill(n + 1));
        setTimeout(() => document.body.insertAdjacentHTML('beforeend', '<a href=/two>x</a>'), 3000);
    </script>"""
    site = Site({"/": page, "/two": "<p id=out>two</p>"})
    with capture_logs() as logs:
        async with Browser(SETTINGS, Bounds(max_bytes=400 << 20)) as own, own.joined("this test"):
            rule = {"browser": {"wait_for": "a"}, "follow": []}
            visits, _ = await crawled(own, site, rule=rule, retry_times=0)
            assert visits["/"].state == expected
            visits, found = await crawled(own, site, "/two")
            assert (reason(visits, "/two"), found) == ((PageState.DONE, ""), ["two"])
    assert started(logs) == 2


async def test_a_browser_dies_with_its_crawler_which_goes_on_later(tmp_path: Path) -> None:
    site = Site({"/": "<p id=out>x</p><script>setInterval(() => fetch('/beat'), 100)</script>"})
    definition, items = tmp_path / "site.toml", tmp_path / "items.jsonl"
    async with serving(site.handle) as origin:
        definition.write_text(
            f'start_urls = ["{origin}"]\n[[rules]]\nmatch = "**"\nfetcher = "browser"\n'
            'browser.wait_for = ".ready"\nitem.out = "#out::text"\n'
        )
        arguments = ["run", str(definition), "--data", str(tmp_path / "data"), "-o", str(items)]

        async def start() -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "crawler", *arguments),
                env={**os.environ, "TMPDIR": str(tmp_path)},
                stderr=asyncio.subprocess.DEVNULL,
            )

        crawler = await start()
        await site.beaten.wait()
        [home] = homes(tmp_path)
        socket = (home / "profile" / "SingletonSocket").readlink()
        assert socket.exists()
        leader = int((home / "pid").read_text("ascii"))
        members = [os.pidfd_open(pid) for pid in processes(leader)]
        assert len(members) > 1
        crawler.kill()
        await crawler.wait()
        for member in members:
            ended, _, _ = await asyncio.to_thread(select.select, [member], [], [], 10.0)
            assert ended
            os.close(member)
        os.utime(home, (0, 0))  # long ago
        site.pages["/"] = "<p id=out class=ready>late</p>"
        again = await start()
        async with asyncio.timeout(60):
            assert await again.wait() == 0
    assert [json.loads(line)["out"] for line in items.read_text().splitlines()] == ["late"]
    assert not homes(tmp_path)
    assert not socket.parent.exists()


async def test_a_page_is_tried_as_it_is_crawled(browser: Browser) -> None:
    site = Site(
        {
            "/": "<script>location.href = '/two'</script>",
            "/two": "<script>document.write('two')</script>",
        }
    )
    async with serving(site.handle) as origin:
        rules = [
            {"match": f"{origin}/two", "fetcher": "browser"},
            {"name": "x", "fetcher": "browser"},
        ]
        definition = from_data({"start_urls": [origin], "rules": rules})
        async with open_single(definition, SETTINGS, SystemClock()) as single:
            page = await single.get(origin, "x")
    assert page.url == f"{origin}/two"
    assert page.body.endswith(b"</script></head><body>two</body></html>")
    assert (page.charset, page.etag) == ("utf-8", "")


async def test_a_browser_that_does_not_start_is_the_pages_reason(tmp_path: Path) -> None:
    settings = replace(SETTINGS, browser="/bin/true")
    async with Browser(settings) as own:
        visits, _ = await crawled(own, Site({"/": "<p id=out>x</p>"}), retry_times=0)
    assert reason(visits) == (PageState.FAILED, "browser does not start")


async def test_who_shows_no_page_pays_for_no_browser() -> None:
    code = "import sys, crawler.app.child; sys.exit('playwright' in sys.modules)"
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await started.wait() == 0


async def test_where_there_is_no_browser_the_crawl_says_what_to_install() -> None:
    settings = EngineSettings(browser="/opt/no/chromium")
    rules = [{"match": "**", "fetcher": "browser"}]
    run = MemoryRun(SystemClock())
    crawl = Crawl(
        from_data({"start_urls": ["https://shop.example/"], "rules": rules}),
        run.claim(),
        HostBook(SystemClock()).budgets("test"),
        settings=settings,
        parsing=lambda _: None,
        report=lambda _: None,
        browser=Browser(settings),
    )
    with pytest.raises(Misconfigured, match="browser: /opt/no/chromium is no program"):
        await crawl.run()
    assert not run.rows
