"""What is sluggish stands still by turns, and runs in the end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.lab.sluggish import sluggish


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_stands_still_by_turns_and_runs_in_the_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            seen: set[bool] = set()
            with sluggish(process.pid, stands_s=0.05, runs_s=0.05):
                deadline = time.monotonic() + 10
                while len(seen) < 2 and time.monotonic() < deadline:
                    seen.add(state(process.pid) == "T")
                    time.sleep(0.01)
            assert seen == {True, False}
            assert state(process.pid) != "T"
        finally:
            process.kill()
