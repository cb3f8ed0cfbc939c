"""Several processes on one file, killed in the middle of everything."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.contract.rows import CLUSTER, RESOURCE
from tests.integration.store.audit import ask, examine
from tests.integration.store.troupe import Player, Refusal, Troupe

TOTAL = 60
BATCHES = 8

pytestmark = pytest.mark.timeout(60)


async def claimed(troupe: Troupe, revision: int = 10, failpoints: str = "") -> Player:
    player = await troupe.start(failpoints)
    await player.tell("epoch", CLUSTER, 1)
    await player.tell("claim", revision, 0)
    return player


async def finished(troupe: Troupe, path: Path, revision: int) -> None:
    """A successor works the rest, and everything is there once."""
    player = await troupe.start()
    await player.tell("claim", revision, 0)
    await player.tell("seed", 1)
    while await player.tell("work", BATCHES, 7, TOTAL):
        pass
    assert await player.tell("progress") == [TOTAL, TOTAL, 0]
    assert examine(path) == {"done": TOTAL}


async def test_a_new_file_is_opened_by_many_at_once(troupe: Troupe, path: Path) -> None:
    players = [await troupe.launch() for _ in range(4)]
    ids = {await player.answer() for player in players}
    assert len(ids) == 1
    assert ask(path, "SELECT count(*) FROM store") == [(1,)]


async def test_writers_never_see_the_lock(troupe: Troupe, path: Path) -> None:
    worker = await claimed(troupe)
    await worker.tell("seed", 1)
    others = [await troupe.start(locked_for_s=5.0) for _ in range(2)]
    for part, other in enumerate(others, 1):
        await other.tell("claim", 20 + part, part)
    await asyncio.gather(
        worker.tell("work", 40, 2, TOTAL),
        *(other.tell("notes", part, 150) for part, other in enumerate(others, 1)),
    )
    assert await worker.tell("progress") == [TOTAL, TOTAL, 0]
    assert examine(path) == {"done": TOTAL}
    [(notes,)] = ask(path, "SELECT count(*) FROM events WHERE kind = 'number'")
    assert notes == 300


@pytest.mark.parametrize(
    "place",
    ["store.in_commit", "store.before_commit", "store.after_commit"],
)
@pytest.mark.parametrize("nth", [1, 3])
async def test_killed_in_a_commit(troupe: Troupe, path: Path, place: str, nth: int) -> None:
    victim = await claimed(troupe, failpoints=f"{place}=kill@{nth}")
    await victim.tell("seed", 1)
    with pytest.raises(EOFError):
        await victim.tell("work", BATCHES, 7, TOTAL)
    assert await victim.ended() == -signal.SIGKILL
    states = examine(path)
    survived = nth if place == "store.after_commit" else nth - 1
    assert (states.get("done", 0) > 0) == (survived > 0)
    await finished(troupe, path, 10)


@pytest.mark.parametrize("verb", ["epoch", "claim", "seed", "fence", "bury"])
@pytest.mark.parametrize("place", ["in", "after"])
async def test_killed_anywhere_else(troupe: Troupe, path: Path, place: str, verb: str) -> None:
    calls: dict[str, tuple[object, ...]] = {
        "epoch": (CLUSTER, 1),
        "claim": (10, 0),
        "seed": (1,),
        "fence": (10, 0),
        "bury": ("another",),
    }
    victim = await troupe.start(f"store.{place}_{verb}=kill")
    for each in list(calls)[: list(calls).index(verb)]:
        await victim.tell(each, *calls[each])
    with pytest.raises(EOFError):
        await victim.tell(verb, *calls[verb])
    assert await victim.ended() == -signal.SIGKILL
    helper = await troupe.start()
    await helper.tell("epoch", CLUSTER, 11)
    await finished(troupe, path, 11)


async def test_killed_at_any_moment(troupe: Troupe, path: Path) -> None:
    """Without failpoints: SIGKILL while commits follow one another."""
    for revision in range(10, 16):
        victim = await claimed(troupe, revision) if revision == 10 else await troupe.start()
        if revision > 10:
            await victim.tell("claim", revision, 0)
        await victim.tell("seed", 1)
        await victim.tell("work", 1, 1, TOTAL)
        await victim.begin("work", 1000, 1, TOTAL)
        await asyncio.sleep(0.003 * (revision - 9))
        victim.send(signal.SIGKILL)
        await victim.ended()
        examine(path)
    await finished(troupe, path, 20)


async def test_a_full_disk_loses_nothing(troupe: Troupe, path: Path) -> None:
    worker = await claimed(troupe)
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
    while await worker.tell("work", BATCHES, 7, TOTAL):
        pass
    assert await worker.tell("progress") == [TOTAL, TOTAL, 0]
    assert examine(path) == {"done": TOTAL}


async def test_a_deleted_resource_takes_no_late_commit(troupe: Troupe, path: Path) -> None:
    worker = await claimed(troupe)
    await worker.tell("seed", 1)
    leader = await troupe.start()
    await leader.tell("bury", RESOURCE)
    with pytest.raises(Refusal, match="Fenced"):
        await worker.tell("work", 1, 1, TOTAL)
    assert examine(path) == {"pending": 1}
