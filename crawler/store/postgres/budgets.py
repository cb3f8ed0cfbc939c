"""Turns on hosts, kept in the database: the `Budgets` of this backend. Their times are the
database's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crawler.model import HostGrant
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.postgres.connection import Database, Transaction
from crawler.store.postgres.ledger import columns
from crawler.store.turns import Turn, Waiter, decide, give_back

_SQL = statements.statements("postgres", "budgets")


class PostgresBudgets:
    """Bound to one holder. Hosts are locked in one order by everybody."""

    def __init__(self, holder: str, database: Database) -> None:
        self._holder = clean_text(holder)
        self._database = database

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        if not hosts:
            return {}
        asked = dict(hosts)
        return await self._database.write("reserve", lambda tx: self._reserve(tx, asked))

    async def release(self, hosts: Mapping[str, float]) -> None:
        if not hosts:
            return
        given = dict(hosts)
        await self._database.write("release", lambda tx: self._release(tx, given))

    async def _reserve(self, tx: Transaction, hosts: Mapping[str, float]) -> dict[str, HostGrant]:
        keys = {host: clean_text(host) for host in hosts}
        turns = await _lock_turns(tx, sorted(set(keys.values())))
        tx = await tx.later()  # by an older time, a turn begun meanwhile would look like none
        waiters = await _waiters(tx, list(turns))
        decisions = {
            host: decide(turns[key], waiters[key], self._holder, hosts[host], tx.now)
            for host, key in keys.items()
        }
        changed = {
            keys[host]: decision.turn
            for host, decision in decisions.items()
            if decision.turn != turns[keys[host]]
        }
        await _update_turns(tx, changed)
        marks = {keys[host]: each.waiting for host, each in decisions.items() if each.waiting}
        await _keep_waiters(tx, marks)
        served = [
            (key, self._holder)
            for key in keys.values()
            if key not in marks and any(each.holder == self._holder for each in waiters[key])
        ]
        gone = [(keys[host], each) for host, made in decisions.items() for each in made.gone]
        await _forget(tx, [*served, *gone])
        return {host: each.grant for host, each in decisions.items()}

    async def _release(self, tx: Transaction, hosts: Mapping[str, float]) -> None:
        keys = {host: clean_text(host) for host in hosts}
        turns = await _lock_turns(tx, sorted(set(keys.values())))
        tx = await tx.later()
        given = {
            key: give_back(turns[key], self._holder, hosts[host], tx.now)
            for host, key in keys.items()
        }
        await _update_turns(tx, given)
        await _forget(tx, [(key, self._holder) for key in given])


async def _lock_turns(tx: Transaction, hosts: list[str]) -> dict[str, Turn]:
    await tx.run(_SQL["add_turns"], (hosts,))
    rows = await tx.all(_SQL["lock_turns"], (hosts,))
    return {row[0]: Turn(*row[1:]) for row in rows}


async def _waiters(tx: Transaction, hosts: list[str]) -> dict[str, list[Waiter]]:
    found: dict[str, list[Waiter]] = {host: [] for host in hosts}
    for host, *mark in await tx.all(_SQL["select_waiters"], (hosts,)):
        found[host].append(Waiter(*mark))
    return found


async def _forget(tx: Transaction, waiters: Sequence[tuple[str, str]]) -> None:
    """Delete these marks, by host and holder."""
    if waiters:
        await tx.run(_SQL["delete_waiters"], columns(waiters))


async def _update_turns(tx: Transaction, turns: Mapping[str, Turn]) -> None:
    if turns:
        rows = [(host, turn.holder, turn.until, turn.not_before) for host, turn in turns.items()]
        await tx.run(_SQL["update_turns"], columns(rows))


async def _keep_waiters(tx: Transaction, marks: Mapping[str, Waiter]) -> None:
    if marks:
        rows = [(host, mark.holder, mark.since, mark.seen) for host, mark in marks.items()]
        await tx.run(_SQL["upsert_waiters"], columns(rows))
