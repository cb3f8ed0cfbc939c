"""`crawler shell` as its users have it: at a terminal, and at the end of a pipe."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from crawler.local.site import serve_shop
from tests.integration.app.alone import hits_so_far, write_shop
from tests.integration.engine.servers import serving
from tests.spiders import example_spider

LIMIT_S = 30.0
KEYS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        yield url


class Terminal:
    """A person at a terminal, who waits for what is to be seen and types."""

    def __init__(self, pid: int, fd: int) -> None:
        self.code: int | None = None  # once it has ended
        self._pid = pid
        self._fd = fd
        self._seen = b""

    async def see(self, text: str) -> str:
        """What there is up to this text, from where the last look ended."""
        until = time.monotonic() + LIMIT_S
        while (found := re.search(re.escape(text).encode(), self._shown())) is None:
            await self._read(until)
        before, self._seen = self._shown()[: found.end()], self._shown()[found.end() :]
        return before.decode()

    async def type(self, keys: str) -> None:
        await asyncio.to_thread(os.write, self._fd, keys.encode())

    async def end(self) -> int:
        """The exit code, once it has ended."""
        until = time.monotonic() + LIMIT_S
        try:
            while True:
                await self._read(until)
        except OSError:  # nobody has the other side open any more
            _, status = await asyncio.to_thread(os.waitpid, self._pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
            return self.code

    def _shown(self) -> bytes:
        return KEYS.sub(b"", self._seen)

    async def _read(self, until: float) -> None:
        async with asyncio.timeout(until - time.monotonic()):
            self._seen += await asyncio.get_running_loop().run_in_executor(None, self._chunk)

    def _chunk(self) -> bytes:
        chunk = os.read(self._fd, 65_536)
        if not chunk:
            raise EOFError(self._seen)
        return chunk


@contextmanager
def at_a_terminal(arguments: list[str], **environment: str) -> Iterator[Terminal]:
    pid, fd = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests may run where it is ignored
        os.execve(
            sys.executable,
            [sys.executable, "-m", "crawler", "shell", *arguments],
            {**os.environ, "TERM": "dumb", "COLUMNS": "100", **environment},
        )
    terminal = Terminal(pid, fd)
    try:
        yield terminal
    finally:
        os.close(fd)
        if terminal.code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def without_ipython(tmp_path: Path) -> str:
    """For ``PYTHONPATH``: where IPython is not installed."""
    place = tmp_path / "hidden"
    (place / "IPython").mkdir(parents=True)
    (place / "IPython" / "__init__.py").write_text("raise ImportError")
    return str(place)


async def test_a_page_is_explored_at_a_terminal(site: str, tmp_path: Path) -> None:
    home = {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": without_ipython(tmp_path)}
    with at_a_terminal([f"{site}/", "-s", "download_delay=0.0"], **home) as terminal:
        assert f"<200 {site}/>  text/html" in await terminal.see(">>> ")
        await terminal.type('page.css("title::text").get()\r')
        assert "'The shop'" in await terminal.see("\n>>> ")
        await terminal.type("fetch(links('a')[0])\r")
        assert f"<200 {site}/category/lamps>" in await terminal.see("\n>>> ")
        await terminal.type("page.url\r")
        assert f"'{site}/category/lamps'" in await terminal.see("\n>>> ")
        await terminal.type("fetch('/nowhere')\r")
        said = await terminal.see("\n>>> ")
        assert f"crawler: {site}/nowhere: HTTP 404" in said
        assert "Traceback" not in said
        await terminal.type("page.titel\r")
        assert "AttributeError" in await terminal.see("\n>>> ")
        await terminal.type("try_r\t")
        await terminal.see("try_rule(")
        await terminal.type(")\r")
        assert "rule page: 1 items" in await terminal.see("\n>>> ")
        await terminal.type("\x04")
        assert await terminal.end() == 0
    history = tmp_path / "data" / "crawler" / "shell-history"
    assert "page.titel\n" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600
    with at_a_terminal([f"{site}/"], **home) as terminal:
        await terminal.see(">>> ")
        await terminal.type("\x1b[A\r")
        assert "rule page: 1 items" in await terminal.see("\n>>> ")
        await terminal.type("exit(3)\r")
        assert await terminal.end() == 3


async def test_ctrl_c_gives_a_page_up_that_does_not_come(tmp_path: Path) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            asked.set()
            await never.wait()
        return web.Response(text="<title>quick</title>", content_type="text/html")

    home = {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": without_ipython(tmp_path)}
    async with serving(answer) as url:
        try:
            with at_a_terminal([f"{url}/", "-s", "download_delay=0.0"], **home) as terminal:
                await terminal.see(">>> ")
                await terminal.type("fetch('/slow')\r")
                await asked.wait()
                await terminal.type("\x03")
                said = await terminal.see("KeyboardInterrupt\n>>> ")
                assert "Traceback" not in said
                await terminal.type("fetch('/quick').css('title').text()\r")
                assert "'quick'" in await terminal.see("\n>>> ")
                await terminal.type("\x04")
                assert await terminal.end() == 0
        finally:
            never.set()


async def test_ipython_is_used_where_it_is_installed(site: str, tmp_path: Path) -> None:
    home = {"IPYTHONDIR": str(tmp_path / "ipython")}
    with at_a_terminal([f"{site}/", "-s", "download_delay=0.0"], **home) as terminal:
        await terminal.see("In [1]: ")
        await terminal.type("fetch('/category/lamps')\r")
        assert f"<200 {site}/category/lamps>" in await terminal.see("In [2]: ")
        await terminal.type("page.url\r")
        assert f"'{site}/category/lamps'" in await terminal.see("In [3]: ")
        await terminal.type("fetch('/nowhere')\r")
        said = await terminal.see("In [4]: ")
        assert f"crawler: {site}/nowhere: HTTP 404" in said
        assert "Traceback" not in said
        await terminal.type("exit\r")
        assert await terminal.end() == 0


async def piped(code: str, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crawler", "shell", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate(code.encode())
    return process.returncode, out.decode(), said.decode()


async def test_what_is_piped_in_is_run(site: str, tmp_path: Path) -> None:
    code = """
for link in links("nav a")[:2]:
    print(link)
page.css("title::text").get()
None
fetch("/product/1")
page.re(r"SKU-(\\d+)")[0]
"""
    links = f"{site}/category/lamps\n{site}/category/chairs\n"
    values = f"'The shop'\n<200 {site}/product/1>\n'000001'\n"
    assert await piped(code, f"{site}/") == (0, links + values, "")
    first, second = hits_so_far(tmp_path / "access.jsonl")
    assert (first.path, second.path) == ("/", "/product/1")
    assert second.at - first.at > 0.9, "the host was not left alone for a second"


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("fetch('/nowhere'); print('never')", 1, "crawler: {site}/nowhere: HTTP 404"),
        ("fetch('http://10.0.0.1/')", 1, "crawler: http://10.0.0.1/: address refused (not a pub"),
        ("fetch('http://127.0.0.1:9/')", 1, "crawler: http://127.0.0.1:9/: address refused (not"),
        ("page.css('a[')", 2, "crawler: 'a[' is not a CSS selector"),
        ("page.re('(a)(b)')", 2, "crawler: '(a)(b)' has 2 groups; keep the one"),
        ("try_rule('shop')", 2, "crawler: rule: there is none (got 'shop')"),
        ("1\n2 +", 2, "crawler: code: line 2: invalid syntax"),
        ("page.titel", 1, 'Traceback (most recent call last):\n  File "<code>", line 1'),
        ("exit(7)", 7, ""),
        ("exit('enough')", 1, "enough"),
    ],
)
async def test_what_fails_is_told_and_ends_it(
    code: str, exit_code: int, said: str, site: str
) -> None:
    code_of, out, error = await piped("", f"{site}/", "-s", "download_delay=0.0", "-c", code)
    assert (code_of, out) == (exit_code, "")
    assert error.startswith(said.format(site=site))


async def test_a_page_that_cannot_be_had_ends_it(site: str) -> None:
    code, _, said = await piped("1", f"{site}/nowhere")
    assert (code, said) == (1, f"crawler: {site}/nowhere: HTTP 404\n")
    code, _, said = await piped("1", "shop.example")
    assert (code, said) == (2, "crawler: shop.example: expected a URL like https://example.org/\n")


async def test_robots_txt_is_obeyed_unless_the_user_says_otherwise() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nDisallow: /" * (request.path == "/robots.txt"))

    async with serving(answer) as url:
        code, _, said = await piped("1", f"{url}/")
        way = "-s robotstxt_obey=false asks all the same"
        assert (code, said) == (1, f"crawler: {url}/: robots.txt forbids it ({way})\n")
        code, out, _ = await piped("page.status", f"{url}/", "-s", "robotstxt_obey=false")
        assert (code, out) == (0, "200\n")


async def test_a_definition_or_a_spider_is_tried(site: str, tmp_path: Path) -> None:
    rules = write_shop(tmp_path / "shop.json", site)
    code, out, _ = await piped("try_rule('product')", f"{site}/product/1", f"--definition={rules}")
    assert code == 0
    assert "rule product: 1 items" in out
    spider = tmp_path / "shop.py"
    spider.write_text(example_spider(site))
    code, out, _ = await piped(
        "try_rule('parse_category')\npage.save()['bytes'] == len(page.body)\n"
        "fetch('/product/3'); try_rule('parse_product', category='rugs')",
        *(f"{site}/category/lamps", f"--definition={spider}"),
    )
    assert code == 0
    assert f"→ {site}/product/" in out
    assert "\nTrue\n" in out
    assert "\ncategory: rugs\n" in out
