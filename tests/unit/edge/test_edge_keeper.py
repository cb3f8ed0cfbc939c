"""What a target is shown, and when: several edges do not reload in the same instant."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from crawler.clock import SystemClock
from crawler.edge.desired import Desired
from crawler.edge.documents import json_document
from crawler.edge.keeper import Keeper, select_pools
from crawler.edge.members import Backends, Member
from crawler.edge.settings import JsonTarget, Pace, Pool
from crawler.edge.target import FileTarget
from crawler.errors import OutOfStep

JITTER_S = 5.0


class Slept(SystemClock):
    """Notes how long somebody wants to sleep, and lets nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Story:
    """A `Desired` in which one more server comes each time, three times."""

    def __init__(self) -> None:
        self.version = 0

    @property
    def pools(self) -> dict[str, Backends]:
        members = (Member(f"m{each}", "10.0.0.1", 80 + each) for each in range(self.version + 1))
        return {"web": Backends(Pool(prefix="/web/", port=80), tuple(members))}

    async def changed(self, since: int, within_s: float | None) -> None:
        del since, within_s
        if self.version == 3:
            raise asyncio.CancelledError
        self.version += 1


def test_what_nobody_knows_is_not_shown_even_where_there_may_be_nobody() -> None:
    pool = Pool(prefix="/web/", port=80, allow_empty=True)
    assert select_pools({"web": Backends(pool, ())}, ())
    unread = Backends(pool, (), held="the registry was not read yet")
    with pytest.raises(OutOfStep, match="not read yet, and nothing is remembered"):
        select_pools({"web": unread}, ())
    assert select_pools({"web": unread}, ("other",)) == {}


async def test_each_change_but_the_first_waits_for_a_random_time(tmp_path: Path) -> None:
    clock, file = Slept(), tmp_path / "list"
    document = json_document(JsonTarget(kind="json", file=file))
    target = FileTarget("t", file, document, tmp_path / "kept", clock)
    pace = Pace(jitter_s=JITTER_S)
    keeper = Keeper(target, (), cast("Desired", Story()), pace, clock)
    with suppress(asyncio.CancelledError):
        await keeper.run()
    assert len(set(clock.slept)) == 3
    assert all(0.0 <= each <= JITTER_S for each in clock.slept)
    assert keeper.looked.is_set()
    assert "m3" in file.read_text()
