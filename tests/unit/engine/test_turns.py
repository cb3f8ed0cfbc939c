"""Turns on hosts are asked for, renewed, shared and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from crawler.engine.lanes import Lanes
from crawler.engine.turns import TurnKeeper
from crawler.errors import StoreUnavailable
from crawler.model import HostGrant
from tests.fakes.turns import HOLD_S, HostBook, MemoryTurns
from tests.unit.engine.test_links import request
from tests.unit.engine.virtual import VirtualClock, run
from tests.unit.engine.world import A

HOST = "a.example"


class Player:
    """One crawl's lanes and turns."""

    def __init__(
        self, book: HostBook, name: str, delay_s: float = 0.0, turns: MemoryTurns | None = None
    ) -> None:
        self.clock = book.clock
        self.lanes = Lanes(1, delay_s)
        self.turns = turns or book.budgets(name)
        self.keeper = TurnKeeper(self.turns, self.lanes, self.clock, lambda: None)
        self.job = asyncio.create_task(self.keeper.run())

    def add(self, *paths: str) -> None:
        self.lanes.add([request(f"{A}/{path}") for path in paths], self.clock.elapsed())
        self.keeper.poke()

    def start(self) -> bool:
        """Start a request if it may be."""
        lane = self.lanes.ready(self.clock.elapsed())
        if lane is None:
            return False
        self.lanes.take(lane)
        self.lanes.start(lane, self.clock.elapsed())
        return True

    def end(self) -> None:
        lane = self.lanes.get(HOST)
        assert lane is not None
        self.lanes.end(lane, self.clock.elapsed())
        self.keeper.poke()


def test_a_turn_is_taken_renewed_and_given_back_when_idle() -> None:
    async def scenario() -> None:
        book = HostBook(VirtualClock())
        player = Player(book, "one")
        player.add("x", "y")
        await asyncio.sleep(0.01)
        assert book.hosts[HOST].holder == "one"
        assert player.start()
        await asyncio.sleep(3 * HOLD_S)
        assert book.hosts[HOST].until > book.clock.elapsed()
        player.end()
        assert player.start()
        player.end()
        await asyncio.sleep(2)
        assert book.hosts[HOST].holder == ""
        assert len(player.lanes) == 0
        player.job.cancel()

    run(scenario())


def test_a_host_that_asks_to_be_left_alone_is_known_of_at_once() -> None:
    """Whoever goes on after a kill -9 must know, too."""

    async def scenario() -> None:
        book = HostBook(VirtualClock())
        player = Player(book, "one")
        player.add("x", "y")
        await asyncio.sleep(0.01)
        assert player.start()
        lane = player.lanes.get(HOST)
        assert lane is not None
        until = book.clock.elapsed() + 30.0
        player.lanes.pause(lane, until, "Retry-After", book.clock.elapsed())
        player.keeper.poke()
        await asyncio.sleep(0.01)
        assert book.hosts[HOST].not_before == pytest.approx(until)
        player.job.cancel()

    run(scenario())


def test_a_wanted_host_is_handed_over_after_a_slice() -> None:
    async def scenario() -> None:
        book = HostBook(VirtualClock())
        one, two = Player(book, "one", 0.1), Player(book, "two", 0.1)
        one.add(*map(str, range(200)))
        two.add(*map(str, range(200)))
        served = {"one": 0, "two": 0}
        history = ""
        for _ in range(600):
            await asyncio.sleep(0.05)
            for name, player in (("one", one), ("two", two)):
                if player.start():
                    assert book.hosts[HOST].holder == name
                    served[name] += 1
                    history += name[0] if history[-1:] != name[0] else ""
                    await asyncio.sleep(0.02)
                    player.end()
        assert abs(served["one"] - served["two"]) <= 60
        assert min(served.values()) >= 60
        assert len(history) >= 6
        one.job.cancel()
        two.job.cancel()

    run(scenario())


def test_a_slow_crawl_and_a_fast_one_both_get_on() -> None:
    """The slow one has its turn soon after its delay, the fast one a whole slice in between."""

    async def scenario() -> None:
        book = HostBook(VirtualClock())
        slow, fast = Player(book, "slow", 5.0), Player(book, "fast", 0.1)
        served = {"slow": 0, "fast": 0}
        slow.add(*map(str, range(200)))
        fast.add(*map(str, range(2000)))
        for _ in range(2000):
            await asyncio.sleep(0.05)
            for name, player in (("slow", slow), ("fast", fast)):
                if player.start():
                    served[name] += 1
                    player.end()
        slow.job.cancel()
        fast.job.cancel()
        assert served["slow"] >= 0.6 * 100 / 5.0
        assert served["fast"] >= 0.2 * 100 / 0.1

    run(scenario())


def test_the_next_owner_keeps_the_distance_of_the_last() -> None:
    async def scenario() -> None:
        book = HostBook(VirtualClock())
        one = Player(book, "one", delay_s=30.0)
        one.add("x")
        await asyncio.sleep(0.01)
        assert one.start()
        started = book.clock.elapsed()
        one.end()
        await one.keeper.release_all()
        one.job.cancel()
        two = Player(book, "two")
        two.add("y")
        await asyncio.sleep(29.9 + started - book.clock.elapsed())
        assert not two.start()
        await asyncio.sleep(1)
        assert two.start()
        two.job.cancel()

    run(scenario())


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_wall_clock_changes_no_distance(step_s: float) -> None:
    class Stepping(MemoryTurns):
        async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
            clock.ahead_s -= step_s
            grants = await super().reserve(hosts)
            clock.ahead_s += 2 * step_s
            return grants

    clock = VirtualClock()

    async def scenario() -> None:
        book = HostBook(clock)
        one = Player(book, "one", delay_s=30.0, turns=Stepping(book, "one"))
        one.add("x", "y")
        await asyncio.sleep(0.01)
        assert one.start()
        started = clock.elapsed()
        one.end()
        await asyncio.sleep(29.9 + started - clock.elapsed())
        assert book.hosts[HOST].holder == "one"
        assert not one.start()
        await asyncio.sleep(0.2)
        assert one.start()
        one.job.cancel()

    run(scenario())


def test_a_turn_counts_from_when_it_was_asked_for() -> None:
    class Slow(MemoryTurns):
        async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
            grants = await super().reserve(hosts)
            await asyncio.sleep(2.0)
            return grants

    async def scenario() -> None:
        book = HostBook(VirtualClock())
        await book.budgets("before").release({HOST: 1.0})
        player = Player(book, "one", turns=Slow(book, "one"))
        player.add("x")
        await asyncio.sleep(2.01)
        lane = player.lanes.get(HOST)
        assert lane is not None
        assert lane.pace.turn is not None
        assert lane.pace.turn.until == HOLD_S
        assert lane.pace.turn.not_before == 3.0
        player.job.cancel()

    run(scenario())


def test_without_the_store_no_turn_outlives_its_time() -> None:
    class Down(MemoryTurns):
        down = False

        async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
            if self.down:
                raise StoreUnavailable("down")
            return await super().reserve(hosts)

    async def scenario() -> None:
        book = HostBook(VirtualClock())
        lanes = Lanes(1, 0.0)
        turns = Down(book, "one")
        keeper = TurnKeeper(turns, lanes, book.clock, lambda: None)
        job = asyncio.create_task(keeper.run())
        lanes.add([request(f"{A}/x")], book.clock.elapsed())
        keeper.poke()
        await asyncio.sleep(0.01)
        turns.down = True
        await asyncio.sleep(HOLD_S + 1)
        assert lanes.ready(book.clock.elapsed()) is None
        turns.down = False
        await asyncio.sleep(HOLD_S)
        assert lanes.ready(book.clock.elapsed()) is not None
        job.cancel()

    run(scenario())


def test_a_crawl_that_ends_while_it_waits_leaves_the_line() -> None:
    async def scenario() -> None:
        book = HostBook(VirtualClock())
        one, two = Player(book, "one"), Player(book, "two")
        one.add("x")
        await asyncio.sleep(0.01)
        two.add("x")
        await asyncio.sleep(0.01)
        assert set(book.waiting[HOST]) == {"two"}
        two.job.cancel()
        await two.keeper.release_all()
        assert not book.waiting[HOST]
        assert book.hosts[HOST].holder == "one"
        one.job.cancel()

    run(scenario())


def test_a_crawl_asks_when_it_was_told_to() -> None:
    """One statement for all hosts that are due, and none before."""

    class Told(MemoryTurns):
        asked: list[tuple[float, tuple[str, ...]]]

        async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
            self.asked.append((clock.elapsed(), tuple(hosts)))
            return {host: HostGrant(False, 7.0) for host in hosts}

    clock = VirtualClock()

    async def scenario() -> None:
        turns = Told(HostBook(clock), "one")
        turns.asked = []
        player = Player(HostBook(clock), "one", turns=turns)
        began = clock.elapsed()
        player.add("x", "y")
        other = "b.example"
        player.lanes.add([request(f"https://{other}/z")], clock.elapsed())
        await asyncio.sleep(20)
        assert [sorted(hosts) for _, hosts in turns.asked] == [[HOST, other]] * 3
        assert [at for at, _ in turns.asked] == pytest.approx([began, began + 7, began + 14], 0.01)
        player.job.cancel()

    run(scenario())
