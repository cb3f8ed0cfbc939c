"""Decides whose turn it is on a host: pure, for every backend.

A turn is exclusive and lasts `HOLD_S` unless renewed. Who is refused is told when to ask again, and
remembered as waiting until `WAIT_S` after that; the one who waits longest comes next, before the
holder may have it again. Who has others before it asks the more seldom: the line moves up by one
whenever its first asks. So hundreds that wait for a host cost little more than a few. The store's
clock may step: a row that was written in its future counts from now on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crawler.model import HostGrant

HOLD_S = 5.0
ASK_AGAIN_S = 0.5  # of the first in the line, and longer by it for each before
LONGEST_ASK_S = 10.0
WAIT_S = 3.0
STEPPED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A host's row. ``holder`` "": nobody, and ``until`` is when the row was written.
    ``not_before``: of the next request, whoever sends."""

    holder: str = ""
    until: float = 0.0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who was refused first at ``since`` and last at ``seen``; that lies ahead by as much
    as it was told to ask later than the first in the line would."""

    holder: str
    since: float
    seen: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer and what to keep. ``waiting``: the asker's own mark (None: delete it).
    ``gone``: those whose marks are to be deleted, for they ask no more."""

    grant: HostGrant
    turn: Turn
    waiting: Waiter | None
    gone: tuple[str, ...] = ()


def decide(
    turn: Turn, waiters: Sequence[Waiter], holder: str, wait_s: float, now: float
) -> Decision:
    """Grant or refuse ``holder`` the turn. ``wait_s``: its knowledge of the next request."""
    turn = _present(turn, now)
    not_before = later(turn.not_before, wait_s, now)
    rest_s = max(0.0, not_before - now)
    present = turn.holder if now < turn.until else ""
    alive = [each for each in waiters if now - WAIT_S <= each.seen <= now + LONGEST_ASK_S]
    gone = tuple(each.holder for each in waiters if each not in alive and each.holder != holder)
    mine = next((each for each in alive if each.holder == holder), None)
    others = [each for each in alive if each.holder not in {holder, present}]
    if present == holder or (not present and _is_first(mine, others)):
        return Decision(
            HostGrant(True, HOLD_S, rest_s, bool(others), _idle_s(turn, now), _is_lost(turn)),
            Turn(holder, now + HOLD_S, not_before),
            None,
            gone,
        )
    # The name of one who never gave it back stays, so that whoever comes next learns of it.
    kept = Turn(turn.holder, turn.until if turn.holder else now, not_before)
    # Behind everybody who waits already, within one tick of the clock too.
    since = mine.since if mine else max([now, *(each.since + 1e-6 for each in others)])
    ahead = sum((each.since, each.holder) < (since, holder) for each in others)
    ask_s = min(ASK_AGAIN_S * (1 + ahead), LONGEST_ASK_S)
    again_s = min(turn.until - now, ask_s) if present and not ahead else ask_s
    waiting = Waiter(holder, since, now + ask_s - ASK_AGAIN_S)
    return Decision(HostGrant(False, again_s, rest_s), kept, waiting, gone)


def give_back(turn: Turn, holder: str, wait_s: float, now: float) -> Turn:
    """The row after ``holder`` released; somebody else's turn stays, the knowledge is kept."""
    turn = _present(turn, now)
    not_before = later(turn.not_before, wait_s, now)
    if turn.holder == holder:
        return Turn("", now, not_before)
    return Turn(turn.holder, turn.until, not_before)


def _idle_s(turn: Turn, now: float) -> float:
    """See `HostGrant`."""
    if turn == Turn():
        return math.inf
    return max(0.0, now - max(turn.until, turn.not_before))


def _is_lost(turn: Turn) -> bool:
    """Whether the last holder may have sent something of which the row does not know: it never gave
    the turn back, and had not said that it would wait for longer than that lasted."""
    return bool(turn.holder) and turn.not_before < turn.until


def _present(turn: Turn, now: float) -> Turn:
    """The row as it would stand had the clock always been what it is: one that ends later than any
    turn lasts was written before the clock stepped back, and its wait goes on from now."""
    stepped_s = turn.until - now
    if stepped_s <= 2 * HOLD_S:
        return turn
    return Turn("", now, max(0.0, min(turn.not_before - stepped_s, now + STEPPED_S)))


def later(kept: float, wait_s: float, now: float) -> float:
    """The stricter of a kept time for the next request and a wait from now on. A kept time further
    ahead than an hour was written before the clock stepped back; a wait is cut to an hour."""
    believed = kept if 0.0 < kept <= now + STEPPED_S else 0.0
    new = now + min(wait_s, STEPPED_S) if wait_s > 0.0 else 0.0
    return max(believed, new)


def _is_first(mine: Waiter | None, others: Sequence[Waiter]) -> bool:
    if not others:
        return True
    if mine is None:
        return False
    return (mine.since, mine.holder) <= min((each.since, each.holder) for each in others)
