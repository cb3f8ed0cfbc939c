"""A running master against its own document: requests made from it, right and wrong ones."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cluster import Cluster, request

pytestmark = pytest.mark.timeout(150)

# What is right by the document may still be refused for its meaning, and there are no tokens.
LEFT_OUT = "positive_data_acceptance,missing_required_header,ignored_auth"
ENDLESS = ("/crawler/events", "/crawler/resource/{name}/logs/follow")
BY_WORKERS = ("/crawler/try", "/crawler/starter")  # who are not here


async def test_nothing_is_answered_that_the_document_leaves_out(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Without a worker: what is added here is never fetched."""
    master = cluster.start_master("1")
    await cluster.wait_leader()
    url = cluster.url("1")
    await request("PUT", f"{url}/crawler/resource/a", {"start_urls": ["https://shop.example/"]})
    checked = await asyncio.to_thread(check, url, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    counted = re.search(r"Selected: (\d+)/(\d+)", checked.stdout)
    assert counted is not None
    assert int(counted[1]) == int(counted[2]) - len(ENDLESS) - len(BY_WORKERS)
    assert '"level": "ERROR"' not in master.text()


def check(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run schemathesis; it leaves its notes in the folder."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--seed=1", "--max-examples=10", "--no-shrink", "--request-timeout=10"),
        *("--phases=examples,coverage,fuzzing", f"--exclude-checks={LEFT_OUT}"),
        *(f"--exclude-path={path}" for path in (*ENDLESS, *BY_WORKERS)),
    ]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
