"""Random faults, from two seeds: every promise is kept. ``make chaos`` runs any other seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.chaos.verdict import Judgement
from tests.acceptance.nemesis.trial import try_out

LENGTH_S = 30.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_random_run_keeps_every_promise(seed: int, tmp_path: Path) -> None:
    report = await try_out(tmp_path, seed, LENGTH_S)
    print(report.text())
    assert report.verdict.judgement is Judgement.VALID, report.text()
