"""Signing in with a browser: the same tokens, in a cookie that changes nothing by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from crawler.access import Access, Role, line_of
from tests.fakes.api import FakeCluster, serve_api

TOKENS = {role: f"crw_{role}" + "x" * 30 for role in Role}
SESSION = "/console/session"
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[FakeCluster]:
    file = tmp_path / "tokens"
    file.write_text("\n".join(line_of(token, role, role) for role, token in TOKENS.items()))
    async with serve_api(access=Access(file)) as serving:
        serving.master.put("a", "{}")
        yield serving


async def ask(
    cluster: FakeCluster,
    method: str,
    path: str,
    *,
    token: str = "",
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> tuple[int, Any, SimpleCookie]:
    cookie = {"Cookie": f"crawler_session={token}"} if token else {}
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, cluster.url + path, json=body, headers={**cookie, **(headers or {})}
        ) as response,
    ):
        return response.status, await response.json(), response.cookies


async def test_a_token_becomes_a_cookie_that_no_script_reads(closed: FakeCluster) -> None:
    status, session, cookies = await ask(
        closed, "POST", SESSION, headers=OURS, body={"token": TOKENS[Role.READ] + "\n"}
    )
    assert status == 200
    assert session == {"closed": True, "name": "read", "role": "read"}
    cookie = cookies["crawler_session"]
    assert cookie.value == TOKENS[Role.READ]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["secure"]) == ("Strict", "/", "")


async def test_behind_tls_it_is_sent_over_tls_only(closed: FakeCluster) -> None:
    headers = {**OURS, "X-Forwarded-Proto": "https"}
    body = {"token": TOKENS[Role.READ]}
    _, _, cookies = await ask(closed, "POST", SESSION, headers=headers, body=body)
    assert cookies["crawler_session"]["secure"]


async def test_strangers_get_no_cookie(closed: FakeCluster) -> None:
    status, answer, cookies = await ask(closed, "POST", SESSION, body={"token": "crw_stranger"})
    assert (status, answer["message"]) == (401, "this token is not known here")
    assert not cookies


async def test_the_cookie_stands_in_for_a_token(closed: FakeCluster) -> None:
    for role in Role:
        status, session, _ = await ask(closed, "GET", SESSION, token=TOKENS[role])
        assert (status, session["role"]) == (200, role)
        status, _, _ = await ask(closed, "GET", "/crawler/resource", token=TOKENS[role])
        assert status == 200
    path = "/crawler/resource/a/pause"
    status, _, _ = await ask(closed, "POST", path, token=TOKENS[Role.READ], headers=OURS)
    assert status == 403
    status, _, _ = await ask(closed, "POST", path, token=TOKENS[Role.OPERATE], headers=OURS)
    assert status == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_change_must_come_from_our_own_page(
    closed: FakeCluster, headers: Mapping[str, str], expected: int
) -> None:
    status, _, _ = await ask(
        closed, "POST", "/crawler/resource/a/pause", token=TOKENS[Role.OPERATE], headers=headers
    )
    assert status == expected
    assert "SetDesired" not in closed.master.calls


async def test_a_token_that_is_shown_comes_first(closed: FakeCluster) -> None:
    """A program that sends its own is not answered as whoever signed in with that browser."""
    headers = {"Authorization": f"Bearer {TOKENS[Role.READ]}"}
    _, session, _ = await ask(closed, "GET", SESSION, token=TOKENS[Role.OPERATE], headers=headers)
    assert session["role"] == "read"


async def test_signing_out_forgets(closed: FakeCluster) -> None:
    status, _, cookies = await ask(closed, "DELETE", SESSION, token=TOKENS[Role.READ], headers=OURS)
    assert status == 200
    assert (cookies["crawler_session"].value, cookies["crawler_session"]["max-age"]) == ("", "0")


async def test_an_open_cluster_asks_nobody(cluster: FakeCluster) -> None:
    status, session, _ = await ask(cluster, "GET", SESSION)
    assert (status, session) == (200, {"closed": False, "name": "", "role": "operate"})
    _, _, cookies = await ask(cluster, "POST", SESSION, body={"token": "anything"})
    assert not cookies


async def test_the_page_itself_is_for_everybody(closed: FakeCluster) -> None:
    types = {"/": "text/html", "/console/x/app.js": "text/javascript"}
    async with aiohttp.ClientSession(closed.url) as http:
        for path, content_type in types.items():
            async with http.get(path) as response:
                assert (response.status, response.content_type) == (200, content_type)
        async with http.get("/console/x/nothing.js") as response:
            assert response.status == 404
