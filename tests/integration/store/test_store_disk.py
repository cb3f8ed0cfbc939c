"""A full disk under the file: nothing is lost, and work goes on when there is space again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.rows import CLUSTER
from tests.integration.store.audit import examine
from tests.integration.store.troupe import Refusal, Troupe

TOTAL = 60


async def test_a_full_disk_loses_nothing(troupe: Troupe, path: Path) -> None:
    worker = await troupe.start()
    await worker.tell("epoch", CLUSTER, 1)
    await worker.tell("claim", 10, 0)
    await worker.tell("seed", 1)
    await worker.tell("work", 2, 3, TOTAL)
    before = await worker.tell("progress")
    await worker.tell("file_limit", 4096)
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await worker.tell("work", 1, 3, TOTAL)
        assert caught.value.args[0] in {"StoreUnavailable", "OutcomeUnknown"}
    assert await worker.tell("progress") == before, "reading goes on"
    examine(path)
    await worker.tell("file_limit", -1)
    while await worker.tell("work", 30, 7, TOTAL):
        pass
    assert await worker.tell("progress") == [TOTAL, TOTAL, 0]
    assert examine(path) == {"done": TOTAL}
