"""Keeps answers for requests that may come again."""

from __future__ import annotations

from crawler.model import KeptAnswer
from crawler.store import statements
from crawler.store.answers import answer_of, bounds
from crawler.store.postgres.connection import Transaction

_SQL = statements.statements("postgres", "answers")


async def begin(tx: Transaction, key: str, digest: bytes, plan: str) -> KeptAnswer:
    """What stands for the key, which is new unless somebody had it before."""
    await tx.run(_SQL["prune_answers"], bounds(tx.now))
    row = {"key": key, "digest": digest, "plan": plan, "now": tx.now}
    await tx.run(_SQL["insert_answer"], row)
    found = await tx.one(_SQL["select_answer"], {"key": key})
    assert found is not None, "inserted, if it was not there"
    return answer_of(found)


async def end(tx: Transaction, key: str, digest: bytes, status: int, body: str) -> None:
    """The answer, unless there is one."""
    row = {"key": key, "digest": digest, "status": status, "body": body}
    await tx.run(_SQL["update_answer"], row)
