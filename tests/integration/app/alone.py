"""A worker process without a cluster, and the shop that it crawls."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from crawler.clock import SystemClock
from crawler.config import sqlite_url
from crawler.local.demo import load_shop
from crawler.local.verdict import Hit, read_hits
from crawler.tasks import every

ENDED = "all crawls have ended; serving until stopped"


def write_shop(path: Path, url: str, **settings: Any) -> Path:
    """The bundled definition of the shop at ``url``, as a file."""
    path.write_text(json.dumps({**load_shop(url), **settings}))
    return path


def hits_so_far(access_log: Path) -> list[Hit]:
    return read_hits(access_log) if access_log.exists() else []


async def wait_hits(access_log: Path, at_least: int, timeout_s: float = 30.0) -> None:
    """Wait until the site has answered so often."""

    async def look() -> None:
        if len(hits_so_far(access_log)) >= at_least:
            enough.set()

    enough = asyncio.Event()
    looking = asyncio.create_task(every(0.02, look, SystemClock()))
    try:
        await asyncio.wait_for(enough.wait(), timeout_s)
    finally:
        looking.cancel()


class Worker:
    """A running process; what it logs is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[Mapping[str, Any]] = []

    async def wait_line(self, message: str, timeout_s: float = 60.0) -> Mapping[str, Any]:
        """The next line with this message."""
        assert self.process.stderr is not None
        async with asyncio.timeout(timeout_s):
            while line := await self.process.stderr.readline():
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.lines.append({"msg": line.decode()})
                if self.lines[-1]["msg"] == message:
                    return self.lines[-1]
        raise AssertionError(f"no {message!r} in {self.lines}")

    async def ready(self) -> tuple[int, Mapping[str, Any]]:
        """Status and answer of /readyz."""
        ports = [line["port"] for line in self.lines if line["msg"] == "http server listens"]
        async with (
            aiohttp.ClientSession(trust_env=False) as http,
            http.get(f"http://127.0.0.1:{ports[0]}/readyz") as answer,
        ):
            return answer.status, await answer.json()

    async def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def run_alone(
    database: Path, definitions: Sequence[Path], *more: str
) -> AsyncIterator[Worker]:
    """The worker, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "crawler",
        "worker",
        "--id=1",
        "--cluster=false",
        f"--definitions={','.join(map(str, definitions))}",
        f"--store={sqlite_url(database)}",
        "--http=:0",
        "--grpc=:0",
        "--processes=1",
        "--allow-private=127.0.0.0/8",
        "--log-format=json",
        *more,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
