"""Many changes in few transactions, none above what etcd takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from crawler.coordination.etcd import Compare, Op, created_at, modified_at, put
from crawler.errors import TermLost
from crawler.master.batches import AT_ONCE, Change, batches, compares_of, write_all

WORKERS = [created_at(f"worker-{number}", number) for number in range(200)]


def test_one_worker_is_compared_once() -> None:
    changes = [Change(f"r{n}", (modified_at(f"r{n}", 1), WORKERS[0]), ()) for n in range(119)]
    (group,) = batches(changes)
    assert len(compares_of(group)) == 120


class Etcd:
    """Refuses what compares a key that was ``overtaken``; after ``lost``, everything."""

    def __init__(self, *overtaken: str, lost: bool = False) -> None:
        self.overtaken = overtaken
        self.lost = lost
        self.revision = self.open = self.most_open = self.asked = 0

    async def write(self, compares: Sequence[Compare], ops: Sequence[Op]) -> int | None:
        self.asked += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        for _ in range(5):  # the others get their turn
            await asyncio.sleep(0)
        self.open -= 1
        if self.lost:
            raise TermLost("another master leads")
        if any(compare.key in self.overtaken for compare in compares):
            return None
        self.revision += 1
        return self.revision


CHANGES = [Change(f"r{n}", (modified_at(f"r{n}", 1),), (put(f"r{n}", b""),)) for n in range(1000)]


async def test_transactions_are_under_way_together_and_what_was_overtaken_stops_no_other() -> None:
    etcd, written = Etcd("r7", "r500"), dict[str, int]()
    await write_all(etcd, CHANGES, written.__setitem__)
    assert set(written) == {each.name for each in CHANGES} - {"r7", "r500"}
    assert etcd.most_open == AT_ONCE
    assert etcd.asked < 50  # nine groups, and halves of two of them
    assert written["r130"] == written["r200"]  # in one transaction


async def test_the_end_of_the_term_ends_all_of_them() -> None:
    etcd = Etcd(lost=True)
    with pytest.raises(TermLost):
        await write_all(etcd, CHANGES, lambda *_: None)
    assert asyncio.all_tasks() == {asyncio.current_task()}
