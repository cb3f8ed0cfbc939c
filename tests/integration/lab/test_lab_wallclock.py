"""The wall clock of one process steps, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.wallclock import WallClock

# Tells its clocks once per line of input; it sleeps in between as asyncio and threads do.
CODE = """
import asyncio, datetime, sys, threading, time
for _ in sys.stdin:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    asyncio.run(asyncio.sleep(0.05)); threading.Event().wait(0.05); time.sleep(0.05)
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    print(time.time(), now, time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic(), slept,
          flush=True)
"""


def test_only_the_wall_clock_steps_and_at_run_time(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", CODE],
        env={**os.environ, **clock.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in (0.0, 3600.0, -3600.5, 0.0):
            clock.step(step)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, now, boot, monotonic, slept = map(float, process.stdout.readline().split())
            assert abs(wall - time.time() - step) < 1.0
            assert abs(now - time.time() - step) < 1.0
            assert abs(boot - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0
            assert abs(monotonic - time.monotonic()) < 1.0
            assert 0.14 < slept < 1.0
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_process_without_its_file_does_not_start(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    environment = {**os.environ, **clock.environment, "WALLSKEW_FILE": "/nowhere"}
    assert subprocess.run(["true"], env=environment, check=False).returncode == 97
