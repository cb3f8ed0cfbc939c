"""`crawler demo`, the product in one minute, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.timeout(180)
def test_the_demo_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crawler", "demo", "--products", "400"],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.split()[1:])
    assert rows["lost"] == rows["duplicated"] == "0"
    assert "kill -9" in done.stdout
    assert "Traceback" not in done.stderr
