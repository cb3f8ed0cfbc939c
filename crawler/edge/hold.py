"""What is believed when members vanish: one that dies goes, all at once is the registry's fault.

Decisions only: who asks brings the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from crawler.edge.members import Member
from crawler.edge.settings import Pace, Pool

_LEAST_SUDDEN = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is in the pool now. ``reason``: why some that are not registered stay ("": none do);
    ``until``: when that is to be judged again (None: with the next news)."""

    members: tuple[Member, ...]
    reason: str = ""
    until: float | None = None


class Hold:
    """One pool. ``accepted`` are its members as they were last believed, and ``since`` is when some
    of them vanished, in Unix seconds (None: none did); both outlive a restart."""

    def __init__(
        self,
        pool: Pool,
        pace: Pace,
        accepted: tuple[Member, ...] = (),
        since: float | None = None,
    ) -> None:
        self._pool = pool
        self._pace = pace
        self.accepted = accepted
        self.since = since

    def judge(self, found: tuple[Member, ...], now: float) -> Verdict:
        """What to make of a list. An empty one, or one of fewer than ``least``, is not believed for
        as long as it lasts, unless the pool may be empty; a sudden loss not for ``grace_s``."""
        here = {each.id for each in found}
        gone = tuple(each for each in self.accepted if each.id not in here)
        # Whoever was draining goes on purpose.
        lost = sum(not each.draining for each in gone)
        few = len(found) < self._pool.least and bool(gone)
        sudden = lost >= _LEAST_SUDDEN and lost > self._pace.shrink * len(self.accepted)
        if not few and not sudden:
            return self._accept(found)
        self.since = now if self.since is None else min(self.since, now)  # clocks step back
        until = self.since + self._pace.grace_s
        endless = few and not self._pool.allow_empty
        if not endless and now >= until:
            return self._accept(found)
        kept = tuple(sorted((*found, *gone), key=lambda each: each.id))
        what = f"{len(gone)} of {len(self.accepted)} members vanished"
        if endless:
            why = f"fewer than {self._pool.least} would be left; kept until others register"
            return Verdict(kept, f"{what}, and {why}")
        why = f"all at once; kept for {self._pace.grace_s:g} s, in case they come back"
        return Verdict(kept, f"{what} {why}", until)

    def _accept(self, found: tuple[Member, ...]) -> Verdict:
        self.since = None
        self.accepted = found
        return Verdict(found)
