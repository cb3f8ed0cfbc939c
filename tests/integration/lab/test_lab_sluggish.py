"""What is sluggish stands still by turns, and runs in the end."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.lab.sluggish import sluggish
from tests.processes import STOPPED, state_of


def test_it_stands_still_by_turns_and_runs_in_the_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            seen: set[bool] = set()
            with sluggish(process.pid, stands_s=0.05, runs_s=0.05):
                deadline = time.monotonic() + 10
                while len(seen) < 2 and time.monotonic() < deadline:
                    seen.add(state_of(process.pid) == STOPPED)
                    time.sleep(0.01)
            assert seen == {True, False}
            assert state_of(process.pid) != STOPPED
        finally:
            process.kill()
