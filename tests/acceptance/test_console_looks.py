"""How the console looks, measured: readable, nothing cut off, reached without a mouse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, expect

from tests.acceptance.cluster import Cluster, Site
from tests.acceptance.cluster import request as call
from tests.acceptance.truth import shop_definition, wait_done
from tests.browser import open_browser, open_window

pytestmark = pytest.mark.timeout(180)

PAGES = (
    "",
    "resources",
    "new",
    "nodes",
    "tasks",
    "events",
    "resources/shop",
    "resources/shop?tab=pages",
    "resources/shop?tab=items",
    "resources/shop?tab=definition",
    "resources/shop?tab=history",
    "resources/shop/url?url={site}/product/4",
)

# Texts whose contrast is below what WCAG AA asks: 4.5, or 3 for large ones. What cannot be used is
# exempt (1.4.3). Colours are told as the browser computes them, mixed with what is behind.
CONTRAST = """() => {
  const { pow } = Math;
  const linear = (each) => (each <= 0.04045 ? each / 12.92 : pow((each + 0.055) / 1.055, 2.4));
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parsed = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (front, back) =>
    [0, 1, 2].map((at) => front[at] * front[3] + back[at] * (1 - front[3])).concat(1);
  const light = ([red, green, blue]) =>
    0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(parsed(getComputedStyle(at).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const exempt = "[aria-disabled=true], noscript, option";
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest(exempt)) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const front = over(parsed(style.color), back);
    const [one, two] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return found;
}"""

# Fields and buttons that have no name for those who cannot see them.
NAMELESS = """() => [...document.querySelectorAll("input, select, textarea, button, a, progress")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.labels?.length || each.ariaLabel || each.textContent.trim()))
  .map((each) => each.outerHTML.slice(0, 80))"""


# Within a dialog the focus may go around by way of the browser's own controls.
INSIDE = (
    """document.activeElement === document.body || !!document.activeElement.closest("dialog")"""
)
FOCUSED = """(({ activeElement: each, body }) => each === body
  ? ["none", ""]
  : [getComputedStyle(each).outlineStyle, each.ariaLabel ?? each.textContent])(document)"""


@dataclass
class Shown:
    """A console with something to see."""

    url: str
    site: str
    browser: Browser


@pytest.fixture
async def shown(cluster: Cluster, small_shop: Site) -> AsyncIterator[Shown]:
    await cluster.complete("12", "1")
    definition = {
        **shop_definition(small_shop, delay_s=0.05),
        "start_urls": [f"{small_shop.url}/", f"{small_shop.url}/nothing", "http://127.0.0.1:1/"],
        "retry_times": 0,
        "schedule": "every 6h",
    }
    base = f"{cluster.url('1')}/crawler/resource"
    for name, what in (("shop", definition), ("a-long-" + "name-" * 24, definition)):
        status, answer = await call("PUT", f"{base}/{name}", what)
        assert status in (200, 202), answer
    assert (await call("POST", base, {"name": "waits"}))[0] in (200, 202)
    await wait_done(cluster, "1", 40, 40)
    async with open_browser() as browser:
        yield Shown(cluster.url("1"), small_shop.url, browser)


async def test_every_page_is_readable_and_whole(shown: Shown) -> None:
    for theme in ("light", "dark"):
        for width in (400, 1280):
            viewport = {"width": width, "height": 900}
            async with open_window(
                shown.browser, shown.url + "/", viewport=viewport, color_scheme=theme
            ) as window:
                await _look_at_all(shown, window.page, theme)
                await window.check()
    async with open_window(shown.browser, shown.url + "/", color_scheme="light") as window:
        await _switch_colours(window.page)
        await window.check()


async def _look_at_all(shown: Shown, page: Page, theme: str) -> None:
    for path in PAGES:
        await page.goto(f"{shown.url}/#/{path.format(site=shown.site)}")
        await expect(page.locator("h1")).to_be_visible()
        await expect(page.locator("main > p[aria-busy=true]")).to_have_count(0)
        assert await page.evaluate("document.documentElement.dataset.theme") == theme
        assert await page.evaluate(CONTRAST) == [], path
        assert await page.evaluate(NAMELESS) == [], path
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(wide) <= 0, path


async def _switch_colours(page: Page) -> None:
    """What somebody chose is kept."""
    await page.get_by_role("button", name="use dark colours").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_all_is_reached_by_keys(cluster: Cluster) -> None:
    """Every link and button in turn, each with a mark where one is; a dialog keeps the focus and
    gives it back."""
    cluster.start_master("1")
    await cluster.wait_ready("1")
    what = {"start_urls": ["https://shop.example/"]}
    assert (await call("PUT", cluster.url("1") + "/crawler/resource/shop", what))[0] == 202
    async with (
        open_browser() as browser,
        open_window(browser, cluster.url("1") + "/#/resources/shop") as window,
    ):
        page = window.page
        await expect(page.get_by_role("button", name="Delete")).to_be_visible()
        await page.locator("body").press("Tab")
        reached = set()
        for _ in range(50):  # all around once
            reached.add(await _focused(page))
            await page.keyboard.press("Tab")
        assert {"Skip to the page", "Overview", "Nodes", "Pause", "Delete", "Items"} <= reached
        delete = page.get_by_role("button", name="Delete")
        await delete.focus()
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        for _ in range(5):
            await page.keyboard.press("Tab")
            assert await page.evaluate(INSIDE)
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(delete).to_be_focused()
        await window.check()


async def _focused(page: Page) -> str:
    """What has the focus, which must be seen to have it."""
    outline, text = await page.evaluate(FOCUSED)
    assert outline == "solid" or not text, text
    return str(text).strip()
