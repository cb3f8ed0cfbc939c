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


@pytest.mark.parametrize(("direct", "defect", "promise"), CASES)
async def test_the_promise_is_kept(
    direct: Direct,
    defect: str,
    promise: str,
    tmp_path: Path,
    etcd: EtcdServer,
    postgres: PostgresServer,
) -> None:
    async with open_scene(tmp_path, etcd, postgres, "", PAGES) as scene:
        await direct(scene, postgres)
        found = await scene.judge()
    assert found.judgement is Judgement.VALID, found.table()


@pytest.mark.parametrize(("direct", "defect", "promise"), CASES)
async def test_a_planted_defect_is_caught(
    direct: Direct,
    defect: str,
    promise: str,
    tmp_path: Path,
    etcd: EtcdServer,
    postgres: PostgresServer,
) -> None:
    async with open_scene(tmp_path, etcd, postgres, defect, PAGES) as scene:
        await direct(scene, postgres)
        found = await scene.judge()
    assert found.judgement is Judgement.INVALID, found.table()
    broken = {each.promise.split()[0] for each in found.findings if each.violations}
    assert promise in broken, found.table()
