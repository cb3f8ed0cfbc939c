"""What a process is doing can be seen over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import aiohttp
import pytest

from crawler.access import Access, Role, line_of, new_token
from crawler.config import Listen
from crawler.errors import Hindered, Unavailable
from crawler.telemetry.profile import serve_profiles
from crawler.telemetry.sampling import as_speedscope, sample_stacks


async def fetch(listen: Listen, path: str, token: str = "") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(trust_env=False, headers=headers) as http,
        http.get(f"http://{listen}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def wait_here(event: asyncio.Event) -> None:
    await event.wait()


async def test_the_pages() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(wait_here(event), name="a task of mine")
    async with serve_profiles(Listen("127.0.0.1", 0)) as listen:
        assert "/debug/cpu" in (await fetch(listen, "/debug/"))[1]
        tasks = (await fetch(listen, "/debug/tasks"))[1]
        assert "== a task of mine" in tasks
        assert "wait_here" in tasks
        assert "MainThread" in (await fetch(listen, "/debug/stacks"))[1]
        assert "peak resident" in (await fetch(listen, "/debug/heap"))[1]
        status, cpu = await fetch(listen, "/debug/cpu?seconds=0.05")
        assert status == 200
        assert cpu.splitlines()[0].rpartition(" ")[2].isdigit()
        assert "bytes were allocated" in (await fetch(listen, "/debug/heap?seconds=0.01"))[1]
        status, scope = await fetch(listen, "/debug/cpu?seconds=0.05&format=speedscope")
        assert json.loads(scope)["profiles"][0]["type"] == "sampled"
        for wrong in ("tasks?format=speedscope", "cpu?format=png"):
            assert (await fetch(listen, f"/debug/{wrong}"))[0] == 400
        assert (await fetch(listen, "/debug/tasks?child=1"))[0] == 404
        for wrong in ("x", "0", "-1", "nan", "61"):
            assert (await fetch(listen, f"/debug/cpu?seconds={wrong}"))[0] == 400
    event.set()
    await task


@pytest.mark.threat(1)
async def test_with_tokens_every_page_asks(tmp_path: Path) -> None:
    token, file = new_token(), tmp_path / "tokens"
    file.write_text(line_of(token, "r", Role.READ))
    pages = ["", "tasks", "stacks", "cpu?seconds=0.01", "heap", "nothing"]
    async with serve_profiles(Listen("127.0.0.1", 0), Access(file)) as listen:
        for page in pages:
            for wrong in ("", new_token()):
                assert (await fetch(listen, f"/debug/{page}", wrong))[0] == 401
            expected = 404 if page == "nothing" else 200
            assert (await fetch(listen, f"/debug/{page}", token))[0] == expected


@pytest.mark.threat(19)
async def test_no_web_page_reads_them_and_none_becomes_one() -> None:
    async with serve_profiles(Listen("127.0.0.1", 0)) as listen, aiohttp.ClientSession() as http:
        for path in ("/debug/", "/debug/heap", "/nothing"):
            async with http.get(f"http://{listen}{path}") as answer:
                assert answer.content_type == "text/plain"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
        headers = {"Host": "evil.example"}
        async with http.get(f"http://{listen}/debug/", headers=headers) as answer:
            assert answer.status == 403


async def test_a_taken_address_is_told() -> None:
    async with serve_profiles(Listen("127.0.0.1", 0)) as listen:
        with pytest.raises(Hindered, match=rf"--pprof={listen}: cannot listen"):
            async with serve_profiles(listen):
                pass


def test_a_busy_thread_is_seen_busy() -> None:
    stop = threading.Event()

    def churn_numbers() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=churn_numbers)
    thread.start()
    try:
        assert thread.ident is not None
        folded = sample_stacks(0.1, thread.ident, stop)
    finally:
        stop.set()
        thread.join()
    assert "churn_numbers" in folded.splitlines()[0]


def test_speedscope_shares_its_frames() -> None:
    scope = as_speedscope("a;b 3\na 1\n", "mine")
    assert scope["shared"]["frames"] == [{"name": "a"}, {"name": "b"}]
    (profile,) = scope["profiles"]
    assert (profile["samples"], profile["weights"]) == ([[0, 1], [0]], [3, 1])
    assert profile["endValue"] == 4


class Busy:
    """A process with one child, which shows itself when it is let."""

    def __init__(self) -> None:
        self.child_pids = (7,)
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def look(self, pid: int, kind: str, seconds: float) -> str:
        self.asked.set()
        await self.gate.wait()
        if kind == "heap":
            raise Unavailable("this process has ended")
        return f"{pid} {kind} {seconds:g}\n"


async def test_a_child_is_looked_into_by_one_at_a_time() -> None:
    busy = Busy()
    async with serve_profiles(Listen("127.0.0.1", 0), children=busy) as listen:
        assert "of this one: 7" in (await fetch(listen, "/debug/"))[1]
        first = asyncio.create_task(fetch(listen, "/debug/cpu?seconds=9&child=7"))
        await busy.asked.wait()
        assert (await fetch(listen, "/debug/tasks?child=7"))[0] == 429
        assert (await fetch(listen, "/debug/tasks"))[0] == 200
        busy.gate.set()
        assert await first == (200, "7 cpu 9\n")
        assert await fetch(listen, "/debug/heap?child=7") == (503, "this process has ended\n")
        assert (await fetch(listen, "/debug/tasks?child=8"))[0] == 404
