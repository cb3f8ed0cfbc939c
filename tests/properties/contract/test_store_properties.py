"""Random histories against a model: counters equal counted rows at every step."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.errors import Fenced
from crawler.model import Item, PageState, Progress, Visit
from crawler.store.contract import Frontier, Store
from tests.contract.backends import EVERYWHERE, Backend
from tests.contract.rows import CLUSTER, RESOURCE, SetClock, all_pages, job, request, stamp

PAGES = [request(f"{n}", f"h{n % 3}.example") for n in range(12)]
numbers = st.integers(0, len(PAGES) - 1)
links = st.lists(numbers, max_size=5).map(tuple)
states = st.sampled_from(list(PageState))
visits = st.tuples(numbers, states, links, links, st.integers(0, 2))
Told = tuple[int, PageState, tuple[int, ...], tuple[int, ...], int]
operations = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(visits, max_size=4)),
        st.tuples(st.just("repeat"), st.none()),
        st.tuples(st.just("strike"), numbers),
        st.tuples(st.just("claim"), st.booleans()),
        st.tuples(st.just("late"), st.lists(visits, min_size=1, max_size=2)),
        st.tuples(st.just("tick"), st.integers(1, 100)),
        st.tuples(st.just("finish"), st.booleans()),
    ),
    max_size=25,
)


class Model:
    """What the rows must be."""

    def __init__(self) -> None:
        self.states: dict[int, PageState] = {0: PageState.PENDING, 1: PageState.PENDING}
        self.visited: set[int] = set()
        self.strikes: Counter[int] = Counter()
        self.items = 0
        self.finished = False

    def commit(self, batch: list[Told]) -> None:
        effective: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        for number, state, found, refused, items in batch:
            if self.states.get(number) is PageState.PENDING:
                self.states[number] = state
                self.visited.add(number)
                self.items += items if state is not PageState.PENDING else 0
                effective.append((found, refused))
        for found, _ in effective:
            for each in found:
                self.follow(each)
        for _, refused in effective:
            for each in refused:
                self.states.setdefault(each, PageState.EXCLUDED)

    def follow(self, number: int) -> None:
        refused = self.states.get(number) is PageState.EXCLUDED and number not in self.visited
        if refused or number not in self.states:
            self.states[number] = PageState.PENDING

    def strike(self, number: int) -> None:
        if self.states.get(number) is PageState.PENDING:
            self.strikes[number] += 1
            if self.strikes[number] == 3:
                self.states[number] = PageState.FAILED

    def count(self, state: PageState) -> int:
        return list(self.states.values()).count(state)


def as_visits(
    batch: list[Told],
) -> list[Visit]:
    return [
        Visit(
            PAGES[number],
            state,
            retry_after_s=50.0 * (number % 2),
            items=tuple(Item("r", {"n": n}, ("x",) * n) for n in range(items)),
            links=tuple(PAGES[each] for each in found),
            excluded=tuple((PAGES[each], "depth") for each in refused),
        )
        for number, state, found, refused, items in batch
    ]


class Run:
    """The operations, done to the store and to the model."""

    def __init__(self, store: Store, frontier: Frontier, clock: SetClock) -> None:
        self.store, self.frontier, self.clock = store, frontier, clock
        self.fenced: list[Frontier] = []
        self.model = Model()
        self.revision = 10
        self.last: list[Visit] = []

    async def do(self, name: str, argument: object) -> None:
        await getattr(self, f"do_{name}")(argument)
        await self.compare()

    async def do_commit(self, batch: list[Told]) -> None:
        self.last = as_visits(batch)
        await self.frontier.commit(self.last)
        self.model.commit(batch)

    async def do_repeat(self, _: None) -> None:
        before = await self.frontier.progress()
        final = [visit for visit in self.last if self.is_final(visit)]
        assert await self.frontier.commit(final) == before

    def is_final(self, visit: Visit) -> bool:
        number = PAGES.index(visit.request)
        return self.model.states.get(number, PageState.PENDING) is not PageState.PENDING

    async def do_strike(self, number: int) -> None:
        await self.frontier.strike(PAGES[number].fingerprint, "killed")
        self.model.strike(number)

    async def do_claim(self, newer: bool) -> None:
        self.fenced.append(self.frontier)
        self.revision += newer
        self.frontier = await self.store.claim(stamp(self.revision), job())

    async def do_late(self, batch: list[Told]) -> None:
        for old in self.fenced:
            with pytest.raises(Fenced):
                await old.commit(as_visits(batch))

    async def do_tick(self, seconds: int) -> None:
        self.clock.now += seconds
        await self.frontier.window(99, 99, frozenset())

    async def do_finish(self, limit: bool) -> None:
        self.model.finished |= limit or not self.model.count(PageState.PENDING)
        await self.frontier.finish("enough", limit=limit)

    async def compare(self) -> None:
        progress = await self.frontier.progress()
        model = self.model
        assert progress == Progress(
            known=len(model.states),
            done=model.count(PageState.DONE),
            failed=model.count(PageState.FAILED),
            excluded=model.count(PageState.EXCLUDED),
            items=model.items,
            incomplete_items=progress.incomplete_items,
            seeded=True,
            finished="enough" if model.finished else "",
        )
        assert progress.pending == model.count(PageState.PENDING)
        rows = {page.url: page.state for page in await all_pages(self.store, limit=5)}
        assert rows == {PAGES[number].url: state for number, state in model.states.items()}
        items = await self.store.items(RESOURCE)
        assert len({(item.url, item.ordinal) for item in items}) == len(items) == model.items
        assert progress.incomplete_items == sum(bool(item.missing) for item in items)


# Every example has a database of its own, so the fixture may be shared.
ENDURED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


async def play(backend: Backend, directory: Path, history: list[tuple[str, object]]) -> None:
    clock = SetClock()
    store = await backend.opener(directory, clock)()
    try:
        await store.open_epoch(CLUSTER, 1)
        frontier = await store.claim(stamp(10), job())
        await frontier.seed(PAGES[:2])
        run = Run(store, frontier, clock)
        for name, argument in history:
            await run.do(name, argument)
    finally:
        await store.close()


@EVERYWHERE
@settings(max_examples=40, suppress_health_check=ENDURED)
@given(history=operations)
def test_counters_equal_rows(backend: Backend, history: list[tuple[str, object]]) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(play(backend, Path(directory), history))
