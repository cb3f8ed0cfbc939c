"""Answers that are kept for requests which may come again: which, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.model import KeptAnswer

KEPT_S = 86_400.0
MOST = 100_000
PRUNED_AT_ONCE = 100


def bounds(now: float) -> dict[str, Any]:
    """As ``prune_answers`` takes them."""
    return {"expired": now - KEPT_S, "most": MOST, "limit": PRUNED_AT_ONCE}


def answer_of(row: Sequence[Any]) -> KeptAnswer:
    """The answer that a row of ``select_answer`` holds."""
    digest, plan, status, body = row
    return KeptAnswer(bytes(digest), plan, status, body)
