"""Who came and went: the memory that keeps a flapping worker or a mass disappearance from turning
into a storm of moves. Pure; times are seconds of one steady clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

REMEMBER_S = 300.0  # an id that did not vanish within this is trusted at once
PROBATION_S = 10.0  # how long one that did must stay up; doubled for every further time
SETTLE_S = 0.3  # an orphan waits this long for others to vanish too, which trips the breaker
# The same for one that is absent when a term begins: what ended the last term may have ended its
# registration too, and it is back within a second.
SETTLE_ANEW_S = 1.0
# And for one that vanishes when the breaker has tripped lately. etcd 3.4 may end one healthy lease
# seconds after the others (etcd-io/etcd#15247); its holder hears of it with its next keepalive.
SETTLE_SHAKEN_TTLS = 1 / 3
TOGETHER_S = 1.0  # workers that vanish within this vanish together
LEAST = 2  # one worker alone never trips the breaker
PATIENCE_TTLS = 3  # times to live, after which a worker that cannot work is given up
LONGEST_HOLD_TTLS = 3  # times to live that the breaker holds while one after another comes back


@dataclass(frozen=True, slots=True)
class Hold:
    """Why no orphan is given away, and until when: one time to live, anew with everyone
    ``missing`` who comes back, but never beyond ``latest``."""

    until: float
    reason: str
    latest: float
    missing: frozenset[str]


class Members:
    """What one leader has seen of the workers since it took office."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._patience_s = PATIENCE_TTLS * ttl_s
        self._live: frozenset[str] = frozenset()
        self._since: dict[str, float] = {}
        self._gone_at: dict[str, float] = {}
        self._settled_at: dict[str, float] = {}  # of those that are gone
        self._flaps: dict[str, list[float]] = {}
        self._ailing: dict[str, float] = {}
        self._hold: Hold | None = None

    def begin(
        self,
        live: Collection[str],
        assigned: Collection[str],
        now: float,
        returned: Collection[str] = (),
    ) -> None:
        """A new leader's first look. ``assigned``: workers that have resources, live or not.
        ``returned``: those of them that registered anew since they were given these: whatever
        ended them, and the last term, may have ended the absent ones too."""
        self._live = frozenset(live)
        self._lose(frozenset(assigned) - self._live, now, SETTLE_ANEW_S)
        self._gone_at.update(dict.fromkeys(returned, now))
        self._trip("were absent when this term began", now)

    def observe(self, live: Collection[str], now: float) -> bool:
        """Note who is live at ``now``; whether anybody came or went."""
        present = frozenset(live)
        if present == self._live:
            return False
        back, gone, self._live = present - self._live, self._live - present, present
        for node_id in back:
            self._since[node_id] = now
        self._go_on_waiting(back, now)
        shaken = self._hold is not None and now < self._hold.latest
        wait_s = SETTLE_SHAKEN_TTLS * self._ttl_s if shaken else 0.0
        self._lose(gone, now, SETTLE_S + wait_s)
        self._trip("vanished within a second", now)
        self._forget(now)
        return True

    def hear(self, ailing: Collection[str], now: float) -> None:
        """Note who says at ``now`` that it cannot work."""
        self._ailing = {node_id: self._ailing.get(node_id, now) for node_id in ailing}

    def given_up(self, node_id: str, now: float) -> bool:
        """Whether it has said so for too long, as far as this leader heard."""
        since = self._ailing.get(node_id)
        return since is not None and since + self._patience_s <= now

    def steady(self, node_id: str, now: float) -> bool:
        """Whether it may be given work: it did not vanish lately, or has stayed up since."""
        return self._trusted_at(node_id, now) <= now

    def settling(self, now: float) -> frozenset[str]:
        """Workers that vanished a moment ago and are still away."""
        return frozenset(each for each, at in self._settled_at.items() if at > now) - self._live

    def hold(self, now: float) -> Hold | None:
        """The breaker, while it holds."""
        return self._hold if self._hold is not None and now < self._hold.until else None

    def next_change(self, now: float) -> float | None:
        """When any of these answers changes by time alone; None: never."""
        times = list(self._settled_at.values())
        times += [self._trusted_at(node_id, now) for node_id in self._live]
        times += [since + self._patience_s for since in self._ailing.values()]
        if self._hold is not None:
            times.append(self._hold.until)
        return min((at for at in times if at > now), default=None)

    def _trusted_at(self, node_id: str, now: float) -> float:
        flaps = sum(1 for at in self._flaps.get(node_id, ()) if at > now - REMEMBER_S)
        if not flaps:
            return now
        probation_s: float = min(PROBATION_S * 2.0 ** (flaps - 1), REMEMBER_S)
        return self._since.get(node_id, now) + probation_s

    def _lately(self, seconds: float, now: float) -> frozenset[str]:
        return frozenset(node_id for node_id, at in self._gone_at.items() if at > now - seconds)

    def _lose(self, gone: frozenset[str], now: float, settle_s: float) -> None:
        for node_id in gone:
            self._gone_at[node_id] = now
            self._settled_at[node_id] = now + settle_s
            self._flaps.setdefault(node_id, []).append(now)

    def _trip(self, what: str, now: float) -> None:
        gone = self._lately(TOGETHER_S, now)
        known = len(gone | self._live)
        if len(gone) < LEAST or 2 * len(gone) < known:
            return
        reason = f"{len(gone)} of {known} workers {what}; waiting for them {self._ttl_s:g} s"
        latest = now + LONGEST_HOLD_TTLS * self._ttl_s
        self._hold = Hold(now + self._ttl_s, reason, latest, gone - self._live)
        for node_id in gone:
            # Not their fault, and whoever is left must not get all new work meanwhile.
            self._flaps.pop(node_id, None)

    def _go_on_waiting(self, back: frozenset[str], now: float) -> None:
        """One that comes back shows that the others have not died either."""
        hold = self.hold(now)
        if hold is None or not back & hold.missing:
            return
        missing = hold.missing - back
        until = min(now + self._ttl_s, hold.latest) if missing else hold.until
        self._hold = replace(hold, until=until, missing=missing)

    def _forget(self, now: float) -> None:
        kept = (
            (node_id, [at for at in ats if at > now - REMEMBER_S])
            for node_id, ats in self._flaps.items()
        )
        self._flaps = {node_id: ats for node_id, ats in kept if ats}
        self._gone_at = {
            node_id: at for node_id, at in self._gone_at.items() if at > now - TOGETHER_S
        }
        self._settled_at = {node_id: at for node_id, at in self._settled_at.items() if at > now}
        self._since = {node_id: self._since[node_id] for node_id in self._since.keys() & self._live}
