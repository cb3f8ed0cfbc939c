"""Keeps answers for requests that may come again."""

from __future__ import annotations

import sqlite3

from crawler.model import KeptAnswer
from crawler.store import statements
from crawler.store.answers import answer_of, bounds

_SQL = statements.statements("sqlite", "answers")


def begin(
    connection: sqlite3.Connection, key: str, digest: bytes, plan: str, now: float
) -> KeptAnswer:
    """What stands for the key, which is new unless somebody had it before."""
    connection.execute(_SQL["prune_answers"], bounds(now))
    row = {"key": key, "digest": digest, "plan": plan, "now": now}
    connection.execute(_SQL["insert_answer"], row)
    return answer_of(connection.execute(_SQL["select_answer"], {"key": key}).fetchone())


def end(connection: sqlite3.Connection, key: str, digest: bytes, status: int, body: str) -> None:
    """The answer, unless there is one."""
    row = {"key": key, "digest": digest, "status": status, "body": body}
    connection.execute(_SQL["update_answer"], row)
