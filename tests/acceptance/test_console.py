"""The console as people use it: a real Chromium, real masters, a real site."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from crawler.access import Role, line_of, new_token
from crawler.local.site import products
from tests.acceptance.cluster import GRACE_S, TTL_S, Cluster, Process, Site
from tests.acceptance.test_documents import NGINX
from tests.acceptance.truth import start_shop
from tests.browser import open_browser, open_window
from tests.ports import free_port

pytestmark = pytest.mark.timeout(120)

SHOP = """start_urls = ["{site}/category/rugs"]
download_delay = 0.01
retry_times = 0

[[rules]]
name = "category"
match = "{site}/category/*"
next = "a[rel=next]"
follow = [{{ css = ".card a", to = "product" }}]

[[rules]]
name = "product"
item.sku = {{ css = ".sku::text", required = true }}
item.price = {{ css = ".price::text", type = "decimal" }}
"""
RUGS = 30  # in a shop of 300; some answer 500 to the first who asks
HESITANT = [each.number for each in products(300) if each.category == "rugs" and each.hesitant]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


async def test_a_new_user_needs_no_documentation(
    cluster: Cluster, small_shop: Site, browser: Browser
) -> None:
    """From an empty cluster to one's own items, a failed page understood and tried again, a node
    drained."""
    await cluster.complete("12", "12")
    async with open_window(browser, cluster.url("1") + "/") as window:
        page = window.page
        await expect(page.get_by_text("All is well.")).to_be_visible()
        await page.get_by_role("link", name="Crawl a site").click()
        await _create(page, small_shop)
        await _download(page)
        await _retry(page)
        await page.get_by_role("link", name="Nodes").click()
        row = page.get_by_role("row").filter(has_text="worker-1")
        await row.get_by_role("button", name="Drain").click()
        await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        await expect(row.get_by_text("drained")).to_be_visible()
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("it is drained")).to_be_visible()
        await window.check()


async def _create(page: Page, shop: Site) -> None:
    """A definition is suggested, written on, found wrong, put right, tried and crawled."""
    await page.get_by_label("A page of the site").fill(f"{shop.url}/category/rugs")
    await page.get_by_label("Name", exact=True).fill("rugs")
    await page.keyboard.press("Enter")
    editor = page.get_by_label("definition", exact=True)
    await expect(editor).to_have_value(re.compile(r"li\.card a"), timeout=30_000)
    await expect(page.get_by_text("This is a right definition.")).to_be_visible()
    text = SHOP.format(site=shop.url)
    await editor.fill(text.replace("retry_times", "retry_tims"))
    await expect(page.get_by_role("button", name="line 3")).to_be_visible()
    await expect(page.get_by_text("retry_tims", exact=True)).to_be_visible()
    await editor.fill(text)
    await page.get_by_label("URL").fill(f"{shop.url}/product/20")
    await page.get_by_label("Rule").select_option("product")
    await page.get_by_role("button", name="Fetch and show").click()
    await expect(page.get_by_role("cell", name="SKU-000020")).to_be_visible(timeout=30_000)
    await page.get_by_role("button", name="Create and crawl").click()
    await expect(page.get_by_role("heading", name="rugs")).to_be_visible()


async def _download(page: Page) -> None:
    """The items that are shown are those that come as a file."""
    await expect(page.get_by_text("Run 1 is over: nothing is left")).to_be_visible(timeout=40_000)
    await _turn_to(page, "Items")
    await expect(page.get_by_text("SKU-000004")).to_be_visible()
    async with page.expect_download() as starting:
        await page.get_by_role("link", name="Download CSV").click()
    download = await starting.value
    assert download.suggested_filename == "rugs-items.csv"
    text = await asyncio.to_thread(Path(await download.path()).read_text)
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == RUGS - len(HESITANT)
    assert {"sku", "price", "_url"} <= set(rows[0])
    await page.get_by_label("A field holds").fill("sku-00002")
    await expect(page.get_by_text("SKU-000024")).to_be_visible()
    await expect(page.get_by_text("SKU-000004")).to_be_hidden()


async def _retry(page: Page) -> None:
    """Why a page failed is said in words; then it and its like are asked for once more."""
    await _turn_to(page, "Pages")
    await page.get_by_role("button", name=f"{len(HESITANT)} http 500").click()
    rows = page.get_by_role("table", name="pages").locator(".entry")
    await expect(rows).to_have_count(len(HESITANT))
    await rows.first.get_by_role("link").click()
    await expect(page.get_by_text("The server failed by itself")).to_be_visible()
    await expect(page.get_by_text("At depth 1")).to_be_visible()
    attempts = page.locator(".attempts li")
    await expect(attempts).to_contain_text([re.compile(r"HTTP 500 after .* at worker-.; given up")])
    await page.get_by_role("button", name="Retry them").click()
    await expect(
        page.get_by_text(f"{len(HESITANT)} pages of rugs are tried again.")
    ).to_be_visible()
    await expect(attempts).to_contain_text(["HTTP 500", "HTTP 200"], timeout=30_000)
    await page.get_by_role("link", name="rugs", exact=True).click()
    failed = page.locator(".figure").filter(has_text="Failed").get_by_role("link")
    await expect(failed).to_have_text("0", timeout=30_000)


async def _turn_to(page: Page, tab: str) -> None:
    await page.get_by_role("navigation", name="about rugs").get_by_text(tab).click()


async def test_a_reader_sees_everything_and_changes_nothing(
    cluster: Cluster, small_shop: Site, browser: Browser
) -> None:
    reader, operator = new_token(), new_token()
    tokens = cluster.folder / "tokens"
    lines = (line_of(reader, "grafana", Role.READ), line_of(operator, "ci", Role.OPERATE))
    tokens.write_text("\n".join(lines))
    for master in "12":
        cluster.start_master(master, CRAWLER_TOKENS=str(tokens))
    cluster.start_worker("1", CRAWLER_TOKENS=str(tokens))
    await cluster.wait_ready("1", "2")
    await start_shop(cluster, "1", small_shop, token=operator)
    async with open_window(browser, cluster.url("1") + "/#/resources/shop") as window:
        page = window.page
        await page.get_by_label("Token").fill("crw_wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("this token is not known here")).to_be_visible()
        await page.get_by_label("Token").fill(reader)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text("grafana (read only)")).to_be_visible()
        await expect(page.get_by_role("heading", name="shop")).to_be_visible()
        assert await page.evaluate("document.cookie") == ""
        for action in ("Pause", "Stop", "Delete"):
            button = page.get_by_role("button", name=action)
            await expect(button).to_have_attribute("aria-disabled", "true")
            await expect(button).to_have_attribute("title", "The token of grafana may only read.")
        await page.get_by_role("button", name="Pause").click(force=True)
        await expect(page.get_by_text("The token of grafana may only read.")).to_be_visible()
        # The same session is good at another master, whose address differs by the port alone.
        await page.goto(cluster.url("2") + "/#/resources/shop")
        await expect(page.get_by_text("grafana (read only)")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_label("Token").fill(operator)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_text("shop is paused.")).to_be_visible()
        await window.check()


@pytest.fixture
def proxied(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """nginx in front of masters 1 and 2, which must run."""
    assert NGINX, "nginx is not installed; run `make system`"
    port = free_port()
    servers = " ".join(f"server {cluster.url(each).removeprefix('http://')};" for each in "12")
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"""daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/fcgi; uwsgi_temp_path {tmp_path}/uwsgi;
            scgi_temp_path {tmp_path}/scgi;
            upstream masters {{ {servers} }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://masters;
                    proxy_set_header Host $http_host;
                    proxy_connect_timeout 1s;
                }}
            }}
        }}"""
    )
    server = Process("nginx", [NGINX, "-c", str(configuration)], tmp_path / "nginx.log")
    yield f"http://127.0.0.1:{port}"
    server.stop()


async def test_the_page_outlives_the_master_that_served_it(
    cluster: Cluster, small_shop: Site, browser: Browser, request: pytest.FixtureRequest
) -> None:
    await cluster.complete("12", "1")
    url = request.getfixturevalue("proxied")
    await start_shop(cluster, "1", small_shop, delay_s=0.2)
    leader = await cluster.wait_leader()
    other = "12".replace(leader, "")
    async with open_window(browser, url + "/") as window:
        page = window.page
        await expect(page.get_by_text(f"master-{leader}", exact=True)).to_be_visible()
        cluster.masters[leader].kill_group()
        await expect(page.get_by_text(f"master-{other}", exact=True)).to_be_visible(
            timeout=(TTL_S + 2 + GRACE_S) * 1000
        )
        await expect(page.get_by_text("Waiting for a master.")).to_be_hidden()
        await page.get_by_role("link", name="Resources").click()
        await page.get_by_role("link", name="shop").click()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_text("shop is paused.")).to_be_visible()
        await window.check()


async def test_the_reference_s_tasks(cluster: Cluster, small_shop: Site, browser: Browser) -> None:
    """Created by name, target and type; listed with the reference's states; its source shown."""
    await cluster.complete("1", "1")
    async with open_window(browser, cluster.url("1") + "/#/tasks") as window:
        page = window.page
        await page.get_by_label("Name").fill("front page")
        await page.get_by_label("Target").fill(f"{small_shop.url}/")
        await page.get_by_label("Type").fill("html")
        await page.get_by_role("button", name="Create").click()
        await expect(page.get_by_text("SUCCEED")).to_be_visible(timeout=30_000)
        await page.get_by_role("button", name="Result").click()
        await expect(page.get_by_text("<h1>The shop</h1>")).to_be_visible()
        await page.get_by_role("button", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("No task yet.")).to_be_visible()
        await window.check()


async def test_two_people_change_one_definition(
    cluster: Cluster, small_shop: Site, browser: Browser
) -> None:
    """What is being written is never lost to what somebody else has stored, nor unseen."""
    await cluster.complete("1", "1")
    await start_shop(cluster, "1", small_shop)
    async with open_window(
        browser, cluster.url("1") + "/#/resources/shop?tab=definition"
    ) as window:
        page = window.page
        editor = page.get_by_label("definition of shop")
        await expect(editor).to_have_value(re.compile("download_delay = 0.01"))
        text = await editor.input_value()
        await editor.fill(text.replace("0.01", "0.02"))
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("The definition of shop is changed.")).to_be_visible()
        await start_shop(cluster, "1", small_shop, delay_s=0.03)
        await expect(editor).to_have_value(re.compile("download_delay = 0.03"))
        await editor.fill("max_pages = 7\n" + text)
        await start_shop(cluster, "1", small_shop, delay_s=0.04)
        await expect(page.get_by_text("Somebody has changed it meanwhile.")).to_be_visible()
        await expect(editor).to_have_value(re.compile("max_pages = 7"))
        await page.get_by_role("button", name="Take theirs").click()
        await expect(editor).to_have_value(re.compile("download_delay = 0.04"))
        await window.check()
