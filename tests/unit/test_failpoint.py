"""Failpoints: nothing when unset, the nth passage when asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler import failpoint
from crawler.errors import Misconfigured, OutcomeUnknown


@pytest.fixture(autouse=True)
def disarm() -> Iterator[None]:
    yield
    failpoint.arm("")


async def test_an_unarmed_place_is_passed() -> None:
    await failpoint.hit("anywhere")
    failpoint.hit_sync("anywhere")


async def test_a_place_fails_at_the_passage_asked_for() -> None:
    failpoint.arm("here=fail@2;there=sleep(0.001)")
    await failpoint.hit("here")
    await failpoint.hit("there")
    with pytest.raises(OutcomeUnknown, match="here"):
        await failpoint.hit("here")
    failpoint.hit_sync("here")


def test_an_unreadable_table_is_refused() -> None:
    with pytest.raises(Misconfigured, match="explode"):
        failpoint.arm("here=explode")


WORKER = """
import sys, threading
from crawler import failpoint

def pass_by():
    failpoint.hit_sync("here")
    open(sys.argv[1], "w").close()

worker = threading.Thread(target=pass_by)
worker.start()
worker.join()
"""


@pytest.mark.parametrize(("action", "seen"), [("stop", os.CLD_STOPPED), ("kill", os.CLD_KILLED)])
def test_a_thread_does_not_pass_the_place_where_it_stops_or_dies(
    tmp_path: Path, action: str, seen: int
) -> None:
    beyond = tmp_path / "beyond"
    command = [sys.executable, "-c", WORKER, str(beyond)]
    environment = {**os.environ, "CRAWLER_FAILPOINTS": f"here={action}"}
    with subprocess.Popen(command, env=environment) as process:
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        found = os.waitid(os.P_PID, process.pid, flags)
        assert found is not None
        assert found.si_code == seen
        assert not beyond.exists()
        process.kill()
