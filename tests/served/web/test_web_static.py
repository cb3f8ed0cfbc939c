"""The console's files: which there are, how long they are kept, that no path leads elsewhere."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from crawler.web.server import serve
from crawler.web.static import NEEDED, POLICY, Static


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A console of a few files, beside what nobody may have."""
    (tmp_path / "secret.js").write_text("secret")
    place = tmp_path / "console"
    (place / "vendor").mkdir(parents=True)
    for name in NEEDED:
        (place / name).write_text(f"/* {name} */")
    (place / "index.html").write_text('<script src="/console/{version}/app.js"></script>')
    (place / "app.js").write_text("app")
    (place / "package.json").write_text("{}")
    return place


@asynccontextmanager
async def serving(home: Path) -> AsyncIterator[str]:
    app = web.Application()
    Static(home).add_to(app.router)
    async with serve(app, "127.0.0.1", 0, grace_s=0.1) as port:
        yield f"http://127.0.0.1:{port}"


async def fetch(
    url: str, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    async with (
        aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=["Accept-Encoding"]
        ) as session,
        session.get(URL(url, encoded=True), headers=headers) as response,
    ):
        return response.status, await response.read(), response.headers


async def test_the_page_names_files_that_are_kept_for_ever(home: Path) -> None:
    async with serving(home) as url:
        status, page, headers = await fetch(f"{url}/")
        assert (status, headers["Cache-Control"]) == (200, "no-cache")
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Content-Security-Policy"] == POLICY
        found = re.search(rb'src="([^"]+)"', page)
        assert found is not None
        status, script, headers = await fetch(url + found[1].decode())
        assert (status, script) == (200, b"app")
        assert headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert "immutable" in headers["Cache-Control"]


async def test_another_version_is_answered_and_not_kept(home: Path) -> None:
    """Two masters behind one address may differ while they are brought up to date."""
    async with serving(home) as url:
        status, script, headers = await fetch(f"{url}/console/0123/app.js")
        assert (status, script, headers["Cache-Control"]) == (200, b"app", "no-cache")


async def test_a_change_is_another_version(home: Path) -> None:
    async with serving(home) as url:
        _, before, _ = await fetch(f"{url}/")
    (home / "app.js").write_text("new")
    async with serving(home) as url:
        _, after, _ = await fetch(f"{url}/")
    assert before != after


async def test_files_are_packed_for_those_who_take_it(home: Path) -> None:
    async with serving(home) as url:
        _, packed, headers = await fetch(f"{url}/console/x/app.js", {"Accept-Encoding": "br, gzip"})
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed) == b"app"


@pytest.mark.parametrize(
    "path",
    [
        "x/../secret.js",
        "x/..%2fsecret.js",
        "x/%2e%2e/secret.js",
        "x/vendor/..%2f..%2fsecret.js",
        "x/..%5csecret.js",
        "x//secret.js",
        "x/package.json",
        "x/vendor",
        "x/app.js%00",
        "x/",
        "app.js",
    ],
)
async def test_nothing_else_is_sent(home: Path, path: str) -> None:
    async with serving(home) as url:
        status, content, _ = await fetch(f"{url}/console/{path}")
        assert status == 404
        assert b"secret" not in content


@pytest.mark.parametrize("missing", NEEDED)
async def test_a_checkout_without_them_says_what_to_run(home: Path, missing: str) -> None:
    (home / missing).unlink()
    async with serving(home) as url:
        status, page, _ = await fetch(f"{url}/")
        assert status == 200
        assert b"make console" in page
