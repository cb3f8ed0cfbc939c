"""One secret of each kind goes in; none of them comes out anywhere that people look."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from crawler.access import Role, line_of, new_token
from tests.acceptance.cluster import Cluster, Process, eventually
from tests.etcd_server import EtcdServer
from tests.ports import free_port
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.timeout(300)

KINDS = (
    "token", "stranger", "store", "etcd", "userinfo", "location", "authorization", "cookie", "key",
    "session",
)  # fmt: skip


@pytest.fixture
def canaries() -> dict[str, str]:
    made = {kind: f"canary{kind}{secrets.token_hex(8)}" for kind in KINDS}
    return {**made, "token": new_token(), "stranger": new_token()}


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path, canaries: dict[str, str]) -> Iterator[Cluster]:
    with PostgresServer() as postgres:
        etcd.enable_auth("crawler", canaries["etcd"])
        running = Cluster(tmp_path, etcd, postgres=postgres)
        # The server takes any password; what counts is that it is part of the URL.
        running.store = running.store.replace("postgres@", f"postgres:{canaries['store']}@")
        yield running
        running.stop()


@asynccontextmanager
async def a_site(canaries: Mapping[str, str]) -> AsyncIterator[tuple[str, list[Mapping[str, str]]]]:
    """A small site that tells secrets and fails; yields its origin and the headers it was sent."""
    seen: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        inside = f"http://me:{canaries['userinfo']}@{request.host}"
        if request.path == "/lost":
            assert request.transport is not None
            request.transport.abort()
        if request.path == "/moved":
            where = f"http://me:{canaries['location']}@{request.host}/there"
            return web.Response(status=302, headers={"Location": where})
        if request.path == "/robots.txt":
            return web.Response(status=404)
        text = f"<title>t</title><a href='{inside}/in'></a><a href=/lost></a><a href=/moved></a>"
        response = web.Response(text=text, content_type="text/html")
        response.set_cookie("session", canaries["session"])
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def ask(method: str, url: str, token: str, body: object = None) -> tuple[int, str]:
    """The status, and all that the answer holds as text."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
        http.request(method, url, json=body) as response,
    ):
        if response.content_type == "text/event-stream":  # it has no end
            return response.status, f"{response.headers}\n{await response.content.readany()!r}"
        return response.status, f"{response.headers}\n{await response.text()}"


STORY = "/crawler/resource/site/url"


async def answers(base: str, token: str) -> list[str]:
    """Whatever can be read at one node."""
    _, text = await ask("GET", f"{base}/openapi.json", token)
    paths = json.loads(text.partition("\n")[2])["paths"]
    wanted = [path.replace("{name}", "site") for path, each in paths.items() if "get" in each]
    if STORY in wanted:  # of each page
        wanted.remove(STORY)
        _, text_of_pages = await ask("GET", f"{base}/crawler/resource/site/pages", token)
        pages = json.loads(text_of_pages.partition("\n")[2])["pages"]
        wanted += [f"{STORY}?key={page['key']}" for page in pages]
    found = [await ask("GET", base + path, token) for path in (*wanted, "/metrics")]
    assert {status for status, _ in found} <= {200}, found
    return [text, *(each for _, each in found)]


async def refusals(base: str, canaries: Mapping[str, str]) -> list[str]:
    """Mistakes that have a secret in them, each answered with an error."""
    resource, token = f"{base}/crawler/resource/bad", canaries["token"]
    password, cookie = canaries["userinfo"], canaries["cookie"]
    bodies: list[dict[str, Any]] = [
        {"start_urls": [f"https://me:{password}@shop.example/"]},
        {"start_urls": [f"https://me:{password}@sh op/"]},
        {"start_urls": [f"https://me:{password}@[::x]/"]},
        {"start_urls": [f"ftp://me:{password}@shop.example/"]},
        {"allowed_domains": [f"me:{password}@shop.example"]},
        {"headers": {"Authorization": f"{canaries['authorization']}\n"}},
        {"headers": {"Cookie": cookie}},
        {"cookies": {"s": f"{cookie};"}},
        {"cookies": [cookie]},
        {"cookies": {"s": [cookie]}},
        {"cookies": f"s={cookie}"},
    ]
    found = []
    for body in bodies:
        definition = {"start_urls": ["https://shop.example/"], **body}
        status, text = await ask("PUT", resource, token, definition)
        assert status == 400, body
        found.append(text)
    status, text = await ask("GET", resource, canaries["stranger"])
    assert status == 401
    return [*found, text]


def command(cluster: Cluster, token: str, *arguments: str, **environment: str) -> str:
    """What a command of ours says, whether it succeeds or not."""
    done = subprocess.run(
        [sys.executable, "-m", "crawler", *arguments],
        env={**os.environ, "CRAWLER_TOKEN": token, **environment},
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def command_lines() -> str:
    """The command line of every process of this machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:
            continue  # it has ended meanwhile
    return "\n".join(lines)


def leaks(canaries: Mapping[str, str], places: Mapping[str, str]) -> list[str]:
    return [
        f"{kind} in {place}"
        for place, text in places.items()
        for kind, canary in canaries.items()
        if canary in text
    ]


@pytest.mark.threat(24)
async def test_no_secret_is_seen_anywhere(cluster: Cluster, canaries: dict[str, str]) -> None:
    token = canaries["token"]
    tokens = cluster.folder / "tokens"
    tokens.write_text(line_of(token, "o", Role.OPERATE))
    setting = {
        "CRAWLER_TOKENS": str(tokens),
        "CRAWLER_ETCD_USER": "crawler",
        "CRAWLER_ETCD_PASSWORD": canaries["etcd"],
        "CRAWLER_LOG_LEVEL": "debug",
    }
    for master in "12":
        cluster.start_master(master, **setting)
    cluster.start_worker("1", **setting)
    await cluster.wait_ready("1", "2")
    places: dict[str, str] = {}
    async with a_site(canaries) as (site, seen):
        definition = {
            "start_urls": [f"{site}/"],
            "download_delay": 0.01,
            "retry_times": 1,
            "cookies": {"own": canaries["cookie"]},
            "headers": {
                "Authorization": f"Bearer {canaries['authorization']}",
                "X-Api-Key": canaries["key"],
            },
        }
        for master in "21":
            url = f"{cluster.url(master)}/crawler/resource/site"
            status, text = await ask("PUT", url, token, definition)
            assert status in (200, 202), text
        await _finished(cluster, token)
        places["command lines"] = command_lines()
    hits = [each for each in seen if "Cookie" in each]
    assert hits, "the worker sends what the API does not show"
    assert all(canaries["cookie"] in each["Cookie"] for each in hits)
    assert all(canaries["authorization"] in each["Authorization"] for each in hits)
    for master in "12":
        places[f"answers of {master}"] = "\n".join(await answers(cluster.url(master), token))
        places[f"refusals of {master}"] = "\n".join(await refusals(cluster.url(master), canaries))
    assert '"own":"***"' in places["answers of 1"]
    places |= await _said(cluster, canaries, definition)
    for process in (*cluster.masters.values(), *cluster.workers.values()):
        process.stop()
        places[process.name] = process.text()
        assert '"level":"DEBUG"' in process.text().replace(" ", "")
    found = leaks(canaries, places)
    assert not found, "\n".join(found)


async def _finished(cluster: Cluster, token: str) -> None:
    """Wait for the end of the crawl; the database goes away and comes back meanwhile."""
    assert cluster.postgres is not None
    cluster.postgres.stop()
    await ask("GET", f"{cluster.url('1')}/crawler/resource/site/items", token)
    cluster.postgres.start()

    async def finished() -> bool | None:
        _, text = await ask("GET", f"{cluster.url('1')}/crawler/resource/site", token)
        return '"state":"finished"' in text or None

    await eventually(finished, "end of the crawl", 120)


async def _said(
    cluster: Cluster, canaries: Mapping[str, str], definition: Mapping[str, Any]
) -> dict[str, str]:
    """What commands say, of a cluster that works and of settings that do not."""
    token, url = canaries["token"], cluster.url("2")
    file = cluster.folder / "site.json"
    file.write_text(json.dumps(definition))
    said = {}
    for words in ("ls", "nodes", "show site", "show site --json", "pages site", "items site",
                  f"apply {file} -s max_pages=7", "events site"):  # fmt: skip
        said[words] = await asyncio.to_thread(
            command, cluster, token, *words.split(), "--master", url
        )
    assert "***" in said["show site"]
    assert "changed" in said[f"apply {file} -s max_pages=7"]
    said["stranger"] = command(cluster, canaries["stranger"], "ls", "--master", url)
    nobody = f"127.0.0.1:{free_port()}"
    for name, store in {
        "wrong scheme": f"mysql://me:{canaries['store']}@{nobody}/x",
        "odd password": f"mysql://me:a/b@{canaries['store']}@{nobody}/x",
        "no store": f"postgresql://me:{canaries['store']}@{nobody}/x",
        "broken store": f"postgresql://me:{canaries['store']}@{nobody}:x:y/x",
        "unknown user": cluster.store.replace("postgres:", "nobody:"),
    }.items():
        said[name] = await _started(cluster, name, store)
    said["etcd URL"] = await asyncio.to_thread(
        command, cluster, token, "master", CRAWLER_ETCD=f"http://me:{canaries['etcd']}@{nobody}"
    )
    return said


async def _started(cluster: Cluster, name: str, store: str) -> str:
    """What a master says that ends, or waits, for want of its store."""
    arguments = [sys.executable, "-m", "crawler", "master", "--http=:0", "--grpc=:0"]
    arguments.append(f"--etcd={cluster.etcd.endpoints[0]}")
    process = Process(name, arguments, cluster.folder / f"{name}.log", CRAWLER_STORE=store)

    async def told() -> bool | None:
        return not process.running or "the store is away" in process.text() or None

    try:
        await eventually(told, "word of the store", 20 * cluster.ttl_s)
    finally:
        process.kill_group()
    return process.text()
