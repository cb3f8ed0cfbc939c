"""The answer to a commit is lost: whoever asked is told so, and repeating changes nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from crawler.clock import SystemClock
from crawler.errors import OutcomeUnknown
from crawler.model import Item
from crawler.store import open_store
from crawler.store.contract import Frontier, Store
from tests.contract.rows import CLUSTER, RESOURCE, counted, done, job, request, seeded, stamp
from tests.integration.store.wire import Cut, Wire, wired
from tests.postgres_server import PostgresServer

PAGE = request("")
LINKS = [request(f"{number}") for number in range(20)]
VISITS = [done(PAGE, *LINKS, items=(Item("r", {"n": 1}),), size_bytes=100)]


@dataclass(frozen=True, slots=True)
class Far:
    """A store behind a wire that may be cut."""

    wire: Wire
    store: Store
    frontier: Frontier


@pytest.fixture
async def far(postgres: PostgresServer) -> AsyncIterator[Far]:
    async with wired(postgres.fresh_url(), b"COMMIT") as wire:
        store = await open_store(wire.url, SystemClock())
        yield Far(wire, store, await seeded(store, PAGE))
        await store.close()


CALLS: dict[str, Callable[[Far], Awaitable[object]]] = {
    "commit": lambda far: far.frontier.commit(VISITS),
    "finish": lambda far: far.frontier.finish("enough", limit=True),
    "bury": lambda far: far.store.bury("another"),
    "fence": lambda far: far.store.raise_fence(stamp(10)),
    "epoch": lambda far: far.store.open_epoch(CLUSTER, 30),
    "claim": lambda far: far.store.claim(stamp(20), job()),
}


@pytest.mark.fault(22)
@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_lost_answer_is_told_and_repeating_is_safe(
    far: Far, call: Callable[[Far], Awaitable[object]], cut: Cut
) -> None:
    far.wire.cut = cut
    with pytest.raises(OutcomeUnknown, match="lost"):
        await call(far)
    assert far.wire.cuts == 1
    await call(far)


@pytest.mark.fault(22)
@pytest.mark.parametrize("cut", Cut)
async def test_a_repeated_commit_counts_once(far: Far, cut: Cut) -> None:
    for _ in range(3):
        far.wire.cut = cut
        with pytest.raises(OutcomeUnknown):
            await far.frontier.commit(VISITS)
    progress = await far.frontier.commit(VISITS)
    assert (progress.known, progress.done, progress.items) == (21, 1, 1)
    assert progress.fetched_bytes == 100
    assert await far.frontier.commit(VISITS) == progress
    assert sum((await counted(far.store)).values()) == 21
    assert len(await far.store.items(RESOURCE)) == 1


@pytest.mark.parametrize("cut", [Cut.SENT, Cut.ANSWERED])
async def test_what_was_sent_may_have_happened(far: Far, cut: Cut) -> None:
    far.wire.cut = cut
    with pytest.raises(OutcomeUnknown):
        await far.frontier.commit(VISITS)
    progress = await far.frontier.progress()
    assert progress.known in ({21} if cut is Cut.ANSWERED else {1, 21})


async def test_what_never_reached_the_server_did_not_happen(far: Far) -> None:
    far.wire.cut = Cut.BEFORE
    with pytest.raises(OutcomeUnknown):
        await far.frontier.commit(VISITS)
    assert (await far.frontier.progress()).known == 1


async def test_a_seed_whose_answer_was_lost_is_not_sown_again(far: Far) -> None:
    frontier = await far.store.claim(stamp(11), job(run=2))
    far.wire.cut = Cut.ANSWERED
    with pytest.raises(OutcomeUnknown):
        await frontier.seed(LINKS)
    assert (await frontier.seed([*LINKS, request("more")])).known == len(LINKS)
