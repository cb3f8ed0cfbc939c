"""What only shows with many runs, or many who wait."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace

from crawler.model import Keep
from crawler.store.contract import Store
from crawler.store.keeping import REMEMBERED
from tests.contract.backends import EVERYWHERE
from tests.contract.rows import CLUSTER, RESOURCE, SetClock, job, stamp
from tests.contract.test_store_budgets import HOST, ask
from tests.contract.test_store_retention import DUE, kept, trim_all


async def test_not_even_numbers_are_kept_for_ever(store: Store) -> None:
    await store.open_epoch(CLUSTER, 10)
    for run in range(1, REMEMBERED + 8):
        frontier = await store.claim(stamp(10 + run), replace(job(run=run), due=DUE + run))
        await frontier.finish("stopped", limit=True)
    await trim_all(store, Keep(runs=2))
    assert await kept(store) == [REMEMBERED + 6, REMEMBERED + 7]
    holders = [(await store.due_runs({RESOURCE: DUE + run}))[RESOURCE][0] for run in (4, 5, 6)]
    assert holders == [0, 0, 6]


@EVERYWHERE
async def test_a_long_line_asks_seldom(store: Store, clock: SetClock) -> None:
    """Each asks again when it was told to, for half a minute; then the line moves up in order."""
    names = [f"crawl {n:03}" for n in range(100)]
    crawls = {name: store.budgets(name) for name in names}
    holder = store.budgets("holder")
    asked: Counter[str] = Counter()
    due = [(clock.now + at / 100, name) for at, name in enumerate(names)]
    order: list[str] = []
    begun = clock.now
    while len(order) < 10:
        at, name = heapq.heappop(due)
        clock.now = max(clock.now, at)
        if clock.now < begun + 30.0:
            assert (await ask(holder)).held
        else:
            await holder.release({HOST: 0.0})
        grant = await ask(crawls[name])
        asked[name] += 1
        if grant.held:
            order.append(name)
            await crawls[name].release({HOST: 0.0})
        else:
            heapq.heappush(due, (clock.now + grant.left_s, name))
    assert order == names[:10]
    assert clock.now - begun < 30.0 + 10 * 0.5 + 0.1
    assert sum(asked.values()) < 700  # asked twice a second each, it would be some 6,500
    assert asked[names[0]] > 50, "the first asks as often as ever"
