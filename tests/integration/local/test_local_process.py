"""A kept process is restarted, stopped in time, and dies with its keeper."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.errors import Misconfigured
from crawler.local.process import Kept, last_line, turn_log
from tests.processes import GONE, state_of


def kept(tmp_path: Path, script: str, *, restart: bool = True) -> Kept:
    argv = [sys.executable, "-c", script]
    return Kept("one", argv, tmp_path / "log", SystemClock(), restart=restart)


async def eventually(probe: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not probe():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watched(one: Kept) -> AsyncIterator[None]:
    await one.start()
    watch = asyncio.create_task(one.watch())
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await one.stop(5.0)


SLEEP = "import time; time.sleep(60)"


async def test_what_dies_is_started_again(tmp_path: Path) -> None:
    one = kept(tmp_path, SLEEP)
    async with watched(one):
        first = one.pid
        one.kill()
        await eventually(lambda: one.starts == 2 and one.pid is not None)
        assert one.pid != first
    assert one.pid is None


async def test_unless_it_should_not(tmp_path: Path) -> None:
    one = kept(tmp_path, SLEEP, restart=False)
    async with watched(one):
        one.kill()
        await eventually(lambda: one.pid is None)
        await asyncio.sleep(0)
        assert one.starts == 1


async def test_a_wrong_setting_is_told_and_not_repeated(tmp_path: Path) -> None:
    one = kept(tmp_path, "import sys; print('ttl: too long'); sys.exit(2)")
    await one.start()
    with pytest.raises(Misconfigured, match="one: ttl: too long"):
        await one.watch()


async def test_stop_asks_first(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        # Not one long sleep: a signal right before it is told of after it.
        "print('ready', flush=True)\nwhile True: time.sleep(0.05)"
    )
    one = kept(tmp_path, script)
    await one.start()
    await eventually(lambda: last_line(one.log_path) == "ready")
    assert await one.stop(5.0)
    assert last_line(one.log_path) == "bye"
    assert await one.stop(5.0), "twice is fine"


async def test_and_then_kills(tmp_path: Path) -> None:
    script = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    one = kept(tmp_path, script)
    await one.start()
    await eventually(lambda: last_line(one.log_path) == "ready")
    assert not await one.stop(0.1)
    assert one.pid is None


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    one = Kept("one", ["/nowhere/etcd"], tmp_path / "log", SystemClock())
    with pytest.raises(Misconfigured, match="cannot start /nowhere/etcd"):
        await one.start()


KEEPER = """
import asyncio, sys
from pathlib import Path
from crawler.clock import SystemClock
from crawler.local.process import Kept
async def main():
    one = Kept("one", [sys.executable, "-c", "import time; time.sleep(60)"], Path(sys.argv[1]),
               SystemClock())
    await one.start()
    print("pid", one.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_it_dies_with_its_keeper(tmp_path: Path) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout is not None
    with keeper, keeper.stdout:
        pid = next(int(line[4:]) for line in keeper.stdout if line.startswith("pid "))
        assert os.getsid(pid) == pid, "Ctrl-C must not reach it"
        keeper.send_signal(signal.SIGKILL)
        keeper.wait()

    def gone() -> bool:
        return state_of(pid) == GONE

    asyncio.run(eventually(gone))


def test_a_log_is_turned_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        turn_log(path, max_bytes=100)
        assert path.stat().st_size == 100
        writer.write(b"y")
        turn_log(path, max_bytes=100)
        writer.write(b"after")
    assert path.read_bytes() == b"after"
    assert (tmp_path / "log.1").read_bytes() == b"x" * 100 + b"y"
