"""Directed faults: what they hit keeps its promise, and the checker sees it broken where a defect
was planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.chaos.verdict import Judgement
from tests.acceptance.nemesis.directed import DIRECTED, Direct
from tests.acceptance.nemesis.scene import open_scene
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

PAGES = 120
CASES = [pytest.param(*case, id=case[0].__name__) for case in DIRECTED]


@pytest.mark.parametrize("planted", [False, True], ids=["whole", "planted"])
@pytest.mark.parametrize(("direct", "defect", "promise"), CASES)
async def test_a_promise_is_kept_unless_its_defect_is_planted(
    direct: Direct,
    defect: str,
    promise: str,
    planted: bool,
    tmp_path: Path,
    etcd: EtcdServer,
    postgres: PostgresServer,
) -> None:
    async with open_scene(tmp_path, etcd, postgres, defect if planted else "", PAGES) as scene:
        await direct(scene)
        found = await scene.judge()
    expected = Judgement.INVALID if planted else Judgement.VALID
    assert found.judgement is expected, found.table()
    broken = {each.promise.split()[0] for each in found.findings if each.violations}
    assert (promise in broken) is planted, found.table()
