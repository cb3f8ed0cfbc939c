"""The pool: which connections are kept, which are closed, and that no turn is ever lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest
from psycopg.pq import TransactionStatus

from crawler.clock import SystemClock
from crawler.errors import StoreUnavailable
from crawler.store.postgres.pool import IDLE_S, SIZE, Pool
from crawler.store.postgres.server import Connection


@dataclass
class Info:
    transaction_status: TransactionStatus = TransactionStatus.IDLE


@dataclass
class Line:
    """Stands for a connection."""

    info: Info = field(default_factory=Info)
    closed: bool = False

    async def close(self) -> None:
        self.closed = True


class Watch(SystemClock):
    """Runs when a test says so."""

    now = 0.0

    def elapsed(self) -> float:
        return self.now


class Exchange:
    """Dials lines, or fails, or never answers."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.error: Exception | None = None
        self.silent = False

    async def dial(self) -> Connection:
        if self.silent:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.lines.append(Line())
        return cast("Connection", self.lines[-1])


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def pool(exchange: Exchange, watch: Watch) -> Pool:
    return Pool(exchange.dial, watch, patience_s=0.05)


def end(connection: Connection, status: TransactionStatus) -> None:
    cast("Line", connection).info.transaction_status = status


async def fill(pool: Pool) -> list[Connection]:
    return [await pool.take() for _ in range(SIZE)]


async def test_what_comes_back_is_taken_again(pool: Pool, exchange: Exchange) -> None:
    for _ in range(3):
        await pool.give_back(await pool.take())
    assert len(exchange.lines) == 1


async def test_all_taken_means_waiting_for_one(pool: Pool, exchange: Exchange) -> None:
    held = await fill(pool)
    with pytest.raises(StoreUnavailable, match="in use"):
        await pool.take()
    waiting = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    await pool.give_back(held[0])
    assert await waiting is held[0]
    assert len(exchange.lines) == SIZE


async def test_those_not_needed_for_long_are_closed(
    pool: Pool, exchange: Exchange, watch: Watch
) -> None:
    for connection in await fill(pool):
        await pool.give_back(connection)
    watch.now += IDLE_S + 1.0
    await pool.give_back(await pool.take())
    assert [line.closed for line in exchange.lines].count(False) == 1


@pytest.mark.parametrize(
    "status", [TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR]
)
async def test_an_unfinished_one_is_closed_alone(
    pool: Pool, exchange: Exchange, status: TransactionStatus
) -> None:
    first, second, *_ = await fill(pool)
    await pool.give_back(first)
    end(second, status)
    await pool.give_back(second)
    assert [line.closed for line in exchange.lines[:2]] == [False, True]


async def test_a_broken_one_takes_the_idle_with_it(pool: Pool, exchange: Exchange) -> None:
    first, second, *_ = await fill(pool)
    await pool.give_back(first)
    end(second, TransactionStatus.UNKNOWN)
    await pool.give_back(second)
    assert [line.closed for line in exchange.lines[:2]] == [True, True]


async def test_a_failed_dial_costs_no_turn(pool: Pool, exchange: Exchange) -> None:
    exchange.error = StoreUnavailable("refused")
    for _ in range(SIZE + 1):
        with pytest.raises(StoreUnavailable, match="refused"):
            await pool.take()
    exchange.error = None
    assert len(await fill(pool)) == SIZE


async def test_a_cancelled_dial_costs_no_turn(pool: Pool, exchange: Exchange) -> None:
    exchange.silent = True
    for _ in range(SIZE + 1):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.take(), 0.01)
    exchange.silent = False
    assert len(await fill(pool)) == SIZE


async def test_a_closed_pool_gives_nothing_and_closes_what_comes_back(
    pool: Pool, exchange: Exchange
) -> None:
    first, second, *_ = await fill(pool)
    await pool.give_back(first)
    for _ in range(2):
        await pool.close()
    assert [line.closed for line in exchange.lines[:2]] == [True, False]
    await pool.give_back(second)
    assert exchange.lines[1].closed
    with pytest.raises(StoreUnavailable, match="closed"):
        await pool.take()
