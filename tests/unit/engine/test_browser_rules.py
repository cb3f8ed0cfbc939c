"""What becomes of a browser's requests, and of cookies on their way to it and back. No browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from crawler.definition import from_data
from crawler.engine.browser.fetch import for_browser, morsel_of
from crawler.engine.browser.proxy import Pass
from crawler.engine.browser.tab import Showing, Verdict
from crawler.engine.fetch.page import Page
from crawler.engine.fetch.redirects import next_request
from crawler.engine.rendering import Fetchers

if TYPE_CHECKING:
    from playwright.async_api import Cookie

HERE = "https://shop.example/lamps"


class Named:
    """A fetcher that is never asked."""

    blocked = (0.0, "")

    def __init__(self, name: str) -> None:
        self.name = name

    async def get(self, url: str, **more: Any) -> Page:
        raise AssertionError(self.name)


async def no_frame(_: str) -> Page | None:
    return None


def showing(*load: str, keeps_cookies: bool = False, shown: bool = True) -> Showing:
    return Showing(
        Page(HERE, 200),
        SimpleNamespace(load=load, wait_for=None),
        no_frame,
        lambda url: "private" not in url,
        max_bytes=1000,
        max_loaded_bytes=4000,
        timeout_s=1.0,
        keeps_cookies=keeps_cookies,
        shown=shown,
    )


def top(page: Showing, url: str, method: str = "GET") -> Verdict:
    return page.judge("document", method, url, document=True, top=True)


def frame(page: Showing, method: str = "GET") -> Verdict:
    url = "https://shop.example/frame"
    return page.judge("document", method, url, document=True, top=False)


def part(page: Showing, kind: str, url: str = "https://cdn.example/x") -> Verdict:
    return page.judge(kind, "GET", url, document=False, top=False)


def cookie(name: str, domain: str) -> Cookie:
    """As the browser tells it."""
    return {
        "name": name,
        "value": '"1"',
        "domain": domain,
        "path": "/",
        "expires": -1,
        "httpOnly": False,
        "secure": False,
        "sameSite": "Lax",
    }


def test_the_first_document_is_ours_and_the_next_one_another_page() -> None:
    assert top(showing(shown=False), f"{HERE}#top") is Verdict.SHOWN
    page = showing()
    assert top(page, "https://shop.example/sofas") is Verdict.MOVED
    assert top(page, "https://shop.example/login", "POST") is Verdict.REFUSED
    assert top(page, "chrome://settings") is Verdict.REFUSED
    page.move("https://SHOP.example/sofas#top")
    assert page.moved == "https://shop.example/sofas"
    assert page.turned.is_set()
    assert top(page, "https://shop.example/chairs") is Verdict.REFUSED


def test_a_page_that_reloads_itself_may_want_its_cookies() -> None:
    assert top(showing(), HERE) is Verdict.REFUSED
    assert top(showing(keeps_cookies=True), HERE) is Verdict.RELOADED


def test_documents_within_are_fetched_up_to_a_number() -> None:
    page = showing()
    assert frame(page) is Verdict.FRAME
    assert frame(page, "POST") is Verdict.REFUSED
    page.frames = 20
    assert frame(page) is Verdict.REFUSED


@pytest.mark.parametrize(
    ("kind", "load", "expected"),
    [
        ("script", (), Verdict.SENT),
        ("stylesheet", (), Verdict.SENT),
        ("fetch", (), Verdict.SENT),
        ("websocket", (), Verdict.SENT),
        ("image", (), Verdict.REFUSED),
        ("image", ("images",), Verdict.SENT),
        ("font", ("images",), Verdict.REFUSED),
        ("font", ("fonts",), Verdict.SENT),
        ("media", ("media",), Verdict.SENT),
        ("texttrack", ("media",), Verdict.SENT),
        ("ping", ("images", "media", "fonts"), Verdict.REFUSED),
        ("manifest", ("images", "media", "fonts"), Verdict.REFUSED),
    ],
)
def test_kinds_that_no_page_needs_are_not_loaded(
    kind: str, load: tuple[str, ...], expected: Verdict
) -> None:
    assert part(showing(*load), kind) is expected


def test_what_is_not_permitted_is_not_loaded() -> None:
    assert part(showing(), "script", "https://shop.example/private.js") is Verdict.REFUSED


async def test_cookies_go_to_the_browser_as_our_jar_has_them() -> None:
    jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
    fields = ("own=1; Path=/a; Secure; HttpOnly; SameSite=Lax", "wide=2; Domain=shop.example")
    jar.update_cookies_from_headers(fields, URL("https://www.shop.example/a"))
    own, wide = sorted(for_browser(jar), key=lambda cookie: cookie["name"])
    assert own == {
        "name": "own",
        "value": "1",
        "domain": "www.shop.example",
        "path": "/a",
        "secure": True,
        "httpOnly": True,
        "sameSite": "Lax",
    }
    assert (wide["domain"], wide["path"]) == (".shop.example", "/")
    assert list(for_browser(aiohttp.DummyCookieJar())) == []


async def test_cookies_come_back_for_the_same_hosts() -> None:
    jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
    here, beside = URL("http://www.shop.example/"), URL("http://api.shop.example/")
    jar.update_cookies({"own": morsel_of(cookie("own", "www.shop.example"), -1)}, here)
    jar.update_cookies({"wide": morsel_of(cookie("wide", ".shop.example"), -1)}, here)
    values = {name: each.value for name, each in jar.filter_cookies(here).items()}
    assert values == {"own": '"1"', "wide": '"1"'}
    assert set(jar.filter_cookies(beside)) == {"wide"}
    jar.update_cookies({"own": morsel_of(cookie("own", "www.shop.example"), 1.0)}, here)
    assert set(jar.filter_cookies(here)) == {"wide"}


def test_the_rule_that_takes_a_page_says_how_it_is_fetched() -> None:
    rules = [
        {"match": "https://shop.example/app/**", "fetcher": "browser"},
        {"match": "https://shop.example/**"},
        {"name": "shown", "fetcher": "browser"},
    ]
    definition = from_data({"start_urls": ["https://shop.example/"], "rules": rules})
    plain, first, third = Named("plain"), Named("first"), Named("third")
    fetchers = Fetchers(definition.rules, plain, [first, None, third])
    assert fetchers.of("https://shop.example/app/1", None) is first
    assert fetchers.of("https://shop.example/", None) is plain
    assert fetchers.of("https://shop.example/", "shown") is third
    assert fetchers.of("https://elsewhere.example/", None) is plain
    assert fetchers.of("https://shop.example/app/sitemap.xml", "<sitemap>") is plain


def test_a_page_that_goes_elsewhere_by_itself_does_so_by_get() -> None:
    assert next_request(200, "POST", b"{}") == ("GET", None)
    assert next_request(200, "GET", None) == ("GET", None)


def test_a_pass_tells_nobody_its_password() -> None:
    holder = Pass("tab1")
    assert holder.password not in repr(holder)
    assert holder.password != Pass("tab1").password
