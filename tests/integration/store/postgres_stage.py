"""A schema of a running PostgreSQL, the actors on it, and what plain SQL says is stored there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.integration.store.troupe import Player, Troupe, on_stage
from tests.postgres_server import PostgresServer


@dataclass(frozen=True, slots=True)
class Stage:
    """``url``: with a schema that nobody else uses."""

    server: PostgresServer
    url: str
    troupe: Troupe

    def ask(self, query: str) -> list[list[str]]:
        """The rows of one query."""
        schema = self.url.rpartition("%3D")[2]
        text = self.server.sql(f"SET search_path = {schema}", query)
        return [line.split("|") for line in text.splitlines()]

    def count(self, query: str) -> int:
        """The one number that it selects."""
        [[number]] = self.ask(query)
        return int(number)

    def examine(self) -> dict[str, int]:
        """Pages by state; fails where something is there twice or half."""
        found = self.ask("SELECT state, count(*) FROM pages GROUP BY state")
        states = {state: int(number) for state, number in found}
        [counters] = self.ask(
            "SELECT sum(known), sum(done), sum(failed), sum(excluded), sum(items),"
            " sum(incomplete_items), sum(fetched_bytes) FROM counters"
        )
        done = states.get("done", 0)
        [items] = self.ask("SELECT count(*), count(missing) FROM items")
        counted = [sum(states.values()), done, states.get("failed", 0), states.get("excluded", 0)]
        assert counters == [*map(str, counted), *items, str(100 * done)]
        assert items == [str(2 * done), str(done)]
        assert self.ask("SELECT 1 FROM pages GROUP BY run_id, url HAVING count(*) > 1") == []
        one_page = "SELECT 1 FROM items GROUP BY run_id, fingerprint HAVING count(*) <> 2"
        assert self.ask(one_page) == []
        return states

    async def claimed(self, revision: int = 10, failpoints: str = "") -> Player:
        """An actor that owns part 0 and has seeded one page."""
        player = await self.troupe.start(failpoints)
        await player.tell("claim", revision, 0)
        await player.tell("seed", 1)
        return player


@asynccontextmanager
async def staged(server: PostgresServer) -> AsyncIterator[Stage]:
    """A stage whose actors are gone at the end of the block."""
    url = server.fresh_url()
    async with on_stage(url) as troupe:
        yield Stage(server, url, troupe)
