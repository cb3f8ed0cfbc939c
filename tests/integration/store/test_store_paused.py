"""A process stopped inside a transaction blocks everybody; its successor ends it, nobody else."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.contract.rows import CLUSTER, RESOURCE
from tests.integration.store.audit import examine, notes_beside
from tests.integration.store.troupe import Player, Refusal, Troupe

TOTAL = 30
LOCKED_S = 0.5
BLOCKED = "in use by another process"

pytestmark = pytest.mark.timeout(60)


async def stopped_at(troupe: Troupe, place: str, verb: str, *arguments: object) -> Player:
    """A worker with a claim of part 0 and seeds, stopped in the middle of ``verb``."""
    victim = await troupe.start(f"{place}=stop")
    await victim.tell("epoch", CLUSTER, 1)
    if verb != "claim":
        await victim.tell("claim", 10, 0)
        await victim.tell("seed", 1)
    await victim.begin(verb, *arguments)
    await victim.stopped()
    return victim


@pytest.mark.fault(24)
@pytest.mark.parametrize("place", ["store.in_commit", "store.before_commit"])
async def test_the_successor_of_its_part_ends_it(troupe: Troupe, path: Path, place: str) -> None:
    victim = await stopped_at(troupe, place, "work", 1, 1, TOTAL)
    successor = await troupe.start()
    started = time.monotonic()
    await successor.tell("claim", 11, 0)
    assert LOCKED_S * 0.9 < time.monotonic() - started < LOCKED_S + 3.0
    assert await victim.ended() == -signal.SIGKILL
    await successor.tell("work", 30, 3, TOTAL)
    assert await successor.tell("progress") == [TOTAL, TOTAL, 0]
    assert examine(path) == {"done": TOTAL}


async def test_a_claimant_stopped_in_its_first_claim_is_known(troupe: Troupe, path: Path) -> None:
    victim = await stopped_at(troupe, "store.in_claim", "claim", 10, 0)
    successor = await troupe.start()
    await successor.tell("claim", 11, 0)
    assert await victim.ended() == -signal.SIGKILL
    assert await successor.tell("seed", 1) == 1
    assert notes_beside(path) == []


@pytest.mark.parametrize(
    ("verb", "arguments"), [("fence", (11, 0)), ("bury", (RESOURCE,))], ids=["fence", "bury"]
)
async def test_a_leader_that_takes_the_part_away_ends_it(
    troupe: Troupe, verb: str, arguments: tuple[object, ...]
) -> None:
    victim = await stopped_at(troupe, "store.in_commit", "work", 1, 1, TOTAL)
    leader = await troupe.start()
    await leader.tell(verb, *arguments)
    assert await victim.ended() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("place", "verb", "arguments"),
    [
        ("store.in_fence", "fence", (11, 0)),
        ("store.before_bury", "bury", ("another",)),
        ("store.in_epoch", "epoch", (CLUSTER, 12)),
    ],
    ids=["fence", "bury", "epoch"],
)
async def test_the_next_leader_ends_a_stopped_one(
    troupe: Troupe, place: str, verb: str, arguments: tuple[object, ...]
) -> None:
    old = await troupe.start(f"{place}=stop@{2 if verb == 'epoch' else 1}")
    await old.tell("epoch", CLUSTER, 1)
    await old.begin(verb, *arguments)
    await old.stopped()
    new = await troupe.start()
    assert await new.tell("epoch", CLUSTER, 20) == 1
    assert await old.ended() == -signal.SIGKILL


async def test_a_leader_stopped_in_its_first_call_is_known(troupe: Troupe) -> None:
    old = await troupe.start("store.in_epoch=stop")
    await old.begin("epoch", CLUSTER, 1)
    await old.stopped()
    new = await troupe.start()
    assert await new.tell("epoch", CLUSTER, 2) == 1
    assert await old.ended() == -signal.SIGKILL


async def test_others_do_not_end_it(troupe: Troupe, path: Path) -> None:
    victim = await stopped_at(troupe, "store.before_commit", "work", 1, 1, TOTAL)
    other = await troupe.start()
    for revision, part in ((11, 1), (9, 0), (10, 0)):
        with pytest.raises(Refusal, match=BLOCKED):
            await other.tell("claim", revision, part)
    victim.send(signal.SIGCONT)
    assert await victim.answer() == 1
    assert examine(path)["done"] == 1


async def test_a_slow_writer_is_not_ended(troupe: Troupe) -> None:
    eager = await troupe.start()
    slow = await troupe.start("store.before_commit=sleep(600)")
    await slow.tell("epoch", CLUSTER, 1)
    await slow.tell("claim", 10, 0)
    await slow.tell("seed", 1)
    await slow.begin("work", 1, 1, TOTAL)
    with pytest.raises(Refusal, match=BLOCKED):
        await until_blocked(eager)
    with pytest.raises(Refusal, match=BLOCKED):
        await eager.tell("claim", 11, 0)
    assert slow.process.returncode is None
    slow.send(signal.SIGSTOP)
    await slow.stopped()
    await eager.tell("claim", 12, 0)
    assert await slow.ended() == -signal.SIGKILL


async def until_blocked(player: Player) -> None:
    """Write until the lock is found taken."""
    while True:
        await player.tell("fence", 1, 7)


async def test_a_zombie_wakes_up_and_writes_nothing(troupe: Troupe, path: Path) -> None:
    zombie = await troupe.start()
    await zombie.tell("epoch", CLUSTER, 1)
    await zombie.tell("claim", 10, 0)
    await zombie.tell("seed", 1)
    zombie.send(signal.SIGSTOP)
    await zombie.stopped()
    await zombie.begin("work", 1, 1, TOTAL)
    successor = await troupe.start()
    await successor.tell("claim", 11, 0)
    assert await successor.tell("work", 1, 1, TOTAL) == 1
    zombie.send(signal.SIGCONT)
    with pytest.raises(Refusal, match="Fenced"):
        await zombie.answer()
    assert examine(path)["done"] == 1


async def test_a_stopped_bystander_holds_nobody_up(troupe: Troupe) -> None:
    bystander = await troupe.start()
    bystander.send(signal.SIGSTOP)
    await bystander.stopped()
    worker = await troupe.start()
    await worker.tell("epoch", CLUSTER, 1)
    await worker.tell("claim", 10, 0)
    await worker.tell("seed", 1)
    assert await worker.tell("work", 30, 3, TOTAL) == TOTAL
    bystander.send(signal.SIGCONT)
    assert await bystander.tell("epoch", CLUSTER, 10) == 1
