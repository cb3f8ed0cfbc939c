"""Several processes on one database, killed in the middle of everything."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.contract.rows import CLUSTER, RESOURCE
from tests.integration.store.conftest import Stage
from tests.integration.store.troupe import Player, Refusal

TOTAL = 60
BATCHES = 8

pytestmark = pytest.mark.timeout(60)


async def claimed(stage: Stage, revision: int = 10, failpoints: str = "") -> Player:
    player = await stage.troupe.start(failpoints)
    await player.tell("epoch", CLUSTER, 1)
    await player.tell("claim", revision, 0)
    return player


async def finished(stage: Stage, revision: int, successor: Player | None = None) -> None:
    """A successor, anew if none is there, works the rest, and everything is there once."""
    player = successor or await stage.troupe.start()
    await player.tell("claim", revision, 0)
    await player.tell("seed", 1)
    while await player.tell("work", BATCHES, 7, TOTAL):
        pass
    assert await player.tell("progress") == [TOTAL, TOTAL, 0]
    assert stage.examine() == {"done": TOTAL}


async def test_a_new_database_is_opened_by_many_at_once(stage: Stage) -> None:
    players = [await stage.troupe.launch() for _ in range(4)]
    ids = {await player.answer() for player in players}
    assert len(ids) == 1
    assert stage.ask("SELECT count(*) FROM store") == [(1,)]


async def test_writers_never_see_the_lock(stage: Stage) -> None:
    worker = await claimed(stage)
    await worker.tell("seed", 1)
    others = [await stage.troupe.start(locked_for_s=5.0) for _ in range(2)]
    for part, other in enumerate(others, 1):
        await other.tell("claim", 20 + part, part)
    await asyncio.gather(
        worker.tell("work", 40, 2, TOTAL),
        *(other.tell("notes", part, 150) for part, other in enumerate(others, 1)),
    )
    assert await worker.tell("progress") == [TOTAL, TOTAL, 0]
    assert stage.examine() == {"done": TOTAL}
    [(notes,)] = stage.ask("SELECT count(*) FROM events WHERE kind = 'number'")
    assert notes == 300


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("place", "nth"),
    [("store.in_commit", 1), ("store.before_commit", 3), ("store.after_commit", 1)],
)
async def test_killed_in_a_commit(stage: Stage, place: str, nth: int) -> None:
    victim = await claimed(stage, failpoints=f"{place}=kill@{nth}")
    await victim.tell("seed", 1)
    with pytest.raises(EOFError):
        await victim.tell("work", BATCHES, 7, TOTAL)
    assert await victim.ended() == -signal.SIGKILL
    states = stage.examine()
    survived = nth if place == "store.after_commit" else nth - 1
    assert (states.get("done", 0) > 0) == (survived > 0)
    await finished(stage, 10)


@pytest.mark.parametrize("verb", ["epoch", "claim", "seed", "fence", "bury"])
@pytest.mark.parametrize("place", ["in", "after"])
async def test_killed_anywhere_else(stage: Stage, place: str, verb: str) -> None:
    calls: dict[str, tuple[object, ...]] = {
        "epoch": (CLUSTER, 1),
        "claim": (10, 0),
        "seed": (1,),
        "fence": (10, 0),
        "bury": ("another",),
    }
    victim = await stage.troupe.start(f"store.{place}_{verb}=kill")
    for each in list(calls)[: list(calls).index(verb)]:
        await victim.tell(each, *calls[each])
    with pytest.raises(EOFError):
        await victim.tell(verb, *calls[verb])
    assert await victim.ended() == -signal.SIGKILL
    helper = await stage.troupe.start()
    await helper.tell("epoch", CLUSTER, 11)
    await finished(stage, 11, helper)


async def test_killed_at_any_moment(stage: Stage) -> None:
    """Without failpoints: SIGKILL while commits follow one another."""
    for revision in range(10, 16):
        victim = await claimed(stage, revision) if revision == 10 else await stage.troupe.start()
        if revision > 10:
            await victim.tell("claim", revision, 0)
        await victim.tell("seed", 1)
        await victim.tell("work", 1, 1, TOTAL)
        await victim.begin("work", 1000, 1, TOTAL)
        await asyncio.sleep(0.003 * (revision - 9))
        victim.send(signal.SIGKILL)
        await victim.ended()
        stage.examine()
    await finished(stage, 20)


async def test_a_deleted_resource_takes_no_late_commit(stage: Stage) -> None:
    worker = await claimed(stage)
    await worker.tell("seed", 1)
    leader = await stage.troupe.start()
    await leader.tell("bury", RESOURCE)
    with pytest.raises(Refusal, match="Fenced"):
        await worker.tell("work", 1, 1, TOTAL)
    assert stage.examine() == {"pending": 1}
