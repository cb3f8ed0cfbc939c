"""Crawls of a site that shows its pages to members only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web

from crawler.clock import Clock, SystemClock
from crawler.definition import from_data
from crawler.definition.secrets import Secret
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.engine.single import open_single
from crawler.errors import Misconfigured
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving

SECRET = "canary-0815"
SECRETS = {"club": Secret(SECRET, ("127.0.0.1",)), "else": Secret(SECRET, ("shop.example",))}
LOGIN: Mapping[str, Any] = {"form": {"user": "me", "password": "${secret:club}"}, "check": "a.out"}
PAGES = 8


class Club:
    """Forgets who is logged in after so many pages (0: never). Its pages send strangers to the
    form, or with ``polite`` show them less."""

    def __init__(self, *, forgets: int = 0, polite: bool = False, action: str = "/enter") -> None:
        self.forgets = forgets
        self.polite = polite
        self.action = action
        self.member = ""
        self.shown = 0
        self.entered = 0
        self.failures = 0  # to come
        self.hits: list[tuple[float, str]] = []
        self.active = self.most_active = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.hits.append((time.monotonic(), request.path))
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        await asyncio.sleep(0.01)
        self.active -= 1
        if request.path == "/login":
            text = (
                f'<form action="/search"><input name=q></form><form method=post '
                f'action="{self.action}"><input type=hidden name=csrf value=c0ffee>'
                "<input name=user><input name=password type=password></form>"
            )
            return web.Response(text=text, content_type="text/html")
        if request.path == "/enter":
            return await self._enter(request)
        if not self.member or request.cookies.get("member") != self.member:
            if not self.polite:
                raise web.HTTPFound("/login?back=1")
            return web.Response(text="<h1>stranger", content_type="text/html")
        if request.path.startswith("/moved"):
            stub = "<meta http-equiv=refresh content='0;url=/0'>"
            return web.Response(text=stub, content_type="text/html")
        self.shown += 1
        if self.shown == self.forgets:
            self.member = ""
        links = "".join(f"<a href=/{n}>x</a>" for n in range(PAGES))
        return web.Response(text=f"<a class=out>out</a><h1>in{links}", content_type="text/html")

    async def _enter(self, request: web.Request) -> web.Response:
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        sent = await request.post()
        if dict(sent) != {"csrf": "c0ffee", "user": "me", "password": SECRET}:
            return web.Response(text="<h1>wrong", content_type="text/html")
        self.entered += 1
        self.member = f"m{self.entered}"
        response = web.HTTPSeeOther("/0")
        response.set_cookie("member", self.member)
        raise response


async def crawled(
    club: Club,
    login: Mapping[str, Any] = LOGIN,
    *,
    clock: Clock | None = None,
    starts: Sequence[str] = ("/0",),
    **settings: Any,
) -> MemoryRun:
    clock = clock or SystemClock()
    async with serving(club.handle) as origin:
        definition = from_data(
            {
                "start_urls": [origin + path for path in starts],
                "download_delay": 0.05,
                "robotstxt_obey": False,
                "retry_times": 3,
                "login": {"url": f"{origin}/login", **login},
                "rules": [{"match": "**", "follow": ["a"], "item": {"who": {"css": "h1::text"}}}],
                **settings,
            }
        )
        run = MemoryRun(clock)
        crawl = Crawl(
            definition,
            run.claim(),
            HostBook(clock).budgets("me"),
            settings=EngineSettings(allow_private=("127.0.0.0/8",), secrets=SECRETS),
            parsing=lambda _: None,
            report=lambda _: None,
            clock=clock,
        )
        await crawl.run()
        return run


def seen(run: MemoryRun) -> list[Any]:
    return [item.fields["who"] for items in run.items.values() for item in items]


async def test_a_crawl_logs_in_once_with_the_form_and_its_hidden_fields() -> None:
    club = Club()
    run = await crawled(club)
    assert seen(run) == ["in"] * PAGES
    assert club.entered == 1
    assert [path for _, path in club.hits[:4]] == ["/login", "/enter", "/0", "/0"]


class Hasty(SystemClock):
    """A second of it takes ten milliseconds."""

    def elapsed(self) -> float:
        return 100 * super().elapsed()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


@pytest.mark.parametrize("polite", [False, True])
async def test_a_session_that_the_site_forgets_is_begun_anew(polite: bool) -> None:
    club = Club(forgets=6, polite=polite)
    run = await crawled(club, clock=Hasty(), download_delay=20.0)
    assert seen(run) == ["in"] * PAGES
    assert club.entered == 2


async def test_pages_that_lead_elsewhere_by_themselves_need_no_check() -> None:
    club = Club()
    moved = [f"/moved{n}" for n in range(4)]
    rules = [{"match": "**", "item": {"who": "h1::text"}}]
    starts = ("/0", *moved)
    run = await crawled(club, clock=Hasty(), starts=starts, rules=rules, download_delay=20.0)
    assert seen(run) == ["in"]
    assert club.entered == 1


async def test_where_logging_in_does_not_help_it_is_said() -> None:
    club = Club(forgets=3)
    run = await crawled(club)
    reasons = [row.reason for row in run.rows.values()]
    assert reasons.count("not logged in") == PAGES - 2
    assert club.entered == 1


async def test_pages_without_the_check_do_not_cost_a_login_each() -> None:
    club = Club(forgets=3, polite=True)
    assert seen(await crawled(club)).count("stranger") == PAGES - 2
    assert club.entered == 1


async def test_a_login_takes_turns_on_the_host_like_any_request() -> None:
    club = Club()
    await crawled(club, concurrent_requests_per_domain=1, download_delay=0.1)
    assert club.most_active == 1
    times = [at for at, _ in club.hits]
    assert times[-1] - times[0] >= 0.1 * (len(times) - 1) - 0.05


async def test_many_requests_wait_for_one_login() -> None:
    club = Club()
    starts = [f"/{n}" for n in range(PAGES)]
    run = await crawled(club, starts=starts, concurrent_requests_per_domain=4)
    assert seen(run) == ["in"] * PAGES
    assert club.entered == 1


async def test_a_site_that_is_busy_is_asked_again() -> None:
    club = Club()
    club.failures = 1
    assert seen(await crawled(club)) == ["in"] * PAGES


@pytest.mark.parametrize(
    ("form", "club", "said"),
    [
        ({"user": "me", "password": "wrong"}, Club(), "a.out is not on .* login.form right"),
        ({"user": "me", "password": "${secret:no}"}, Club(), "login.form.password: .* no secret"),
        ({"user": "me", "password": "${secret:else}"}, Club(), "may not be sent to 127.0.0.1"),
        ({"user": "x"}, Club(action="http://evil.example/"), "is sent to another host"),
    ],
)
async def test_what_cannot_log_in_ends_the_crawl_and_says_why(
    form: Mapping[str, str], club: Club, said: str
) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        await crawled(club, {**LOGIN, "form": form})
    assert SECRET not in str(caught.value)
    assert club.entered == 0


async def test_a_login_on_another_host_is_refused() -> None:
    with pytest.raises(Misconfigured, match="is on no host of start_urls"):
        await crawled(Club(), {**LOGIN, "url": "https://other.example/"})


async def test_a_single_page_is_fetched_by_a_member_too() -> None:
    club = Club()
    async with serving(club.handle) as origin:
        definition = from_data(
            {
                "start_urls": [f"{origin}/"],
                "download_delay": 0.0,
                "robotstxt_obey": False,
                "login": {"url": f"{origin}/login", **LOGIN},
            }
        )
        settings = EngineSettings(allow_private=("127.0.0.0/8",), secrets=SECRETS)
        async with open_single(definition, settings, SystemClock()) as single:
            page = await single.get(f"{origin}/3")
    assert b"<h1>in" in page.body
