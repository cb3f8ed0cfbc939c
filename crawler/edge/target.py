"""One load balancer behind one file: staged, checked, swapped, reloaded, verified, or put back."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Protocol

from prometheus_client import Counter

from crawler import failpoint
from crawler.clock import Clock
from crawler.edge.files import Lock, read_whole, stage, swap, write_whole
from crawler.edge.members import Pools
from crawler.errors import OutOfStep

ROLLBACKS = Counter(
    "crawler_edge_rollbacks",
    "Times that the last good configuration was put back because a newer one did not come up.",
    ["target"],
)

_LOOK_S = 0.05  # between two looks whether the new generation is up
# For so long all looks must see it after a reload. nginx lets its old workers take requests for
# 100 ms beside the new ones (ngx_process_cycle.c).
_SETTLE_S = 0.3


class Live(StrEnum):
    """What the running balancer has."""

    SAME = "same"  # what the file says
    OTHER = "other"
    DOWN = "down"  # it does not run
    UNKNOWN = "unknown"  # nobody can be asked


class Applied(StrEnum):
    """What it took to be in step."""

    UNCHANGED = "unchanged"
    ADJUSTED = "adjusted"  # without a reload
    RELOADED = "reloaded"


class Target(Protocol):
    """What is kept in step with the pools."""

    @property
    def name(self) -> str: ...

    async def apply(self, pools: Pools) -> Applied:
        """Bring it in step; what was necessary. May be cut off at any point and repeated. Raises
        an error of ours where it is not in step: then what it had before goes on."""

    async def preview(self, pools: Pools) -> str:
        """What `apply` would change, as a unified diff ("": nothing), checked and not done."""

    async def validate(self, pools: Pools) -> str:
        """What the file would be with these, checked and not done. Raises as `preview` does."""

    async def tidy(self) -> float | None:
        """Go on with what takes its time; in how many seconds to call again (None: all done)."""

    def close(self) -> None:
        """Let others write it."""


class Balancer(Protocol):
    """What stands behind a file."""

    def render(self, pools: Pools) -> bytes:
        """The whole file; the same pools give the same bytes. Raises `OutOfStep`."""

    async def check(self, staged: Path) -> None:
        """Raises `OutOfStep` where the balancer would not take its *whole* configuration with what
        is staged in its place."""

    async def take(self, content: bytes) -> Applied:
        """Make the balancer take what is now in the file. Raises `OutOfStep`."""

    async def state(self, content: bytes) -> Live:
        """What it has now, compared with ``content``, which need not be its own rendering."""

    async def tidy(self) -> float | None:
        """See `Target.tidy`."""


class FileTarget:
    """A `Target` that keeps one file for a `Balancer`.

    ``kept``: a copy of what was verified last. It is what is put back (without it, what was there),
    and what tells after a crash that the file was swapped in and never seen to work.
    ``complaint``: why the balancer did not take it, in its own words ("": it has none); None: it
    cannot be asked.
    """

    def __init__(
        self,
        name: str,
        file: Path,
        balancer: Balancer,
        kept: Path,
        clock: Clock,
        *,
        verify_s: float = 5.0,
        mode: int | None = None,
        complaint: Callable[[], str] | None = None,
    ) -> None:
        self._file = Path(file.resolve())  # a link stays a link
        self._balancer = balancer
        self._kept = kept
        self._clock = clock
        self._verify_s = verify_s
        self._mode = mode
        self._complaint = complaint
        self._lock = Lock(self._file)
        self.name = name

    async def apply(self, pools: Pools) -> Applied:
        self._lock.take()
        content = self._balancer.render(pools)
        before, verified = read_whole(self._file), read_whole(self._kept)
        good = before if verified is None else verified
        live = await self._balancer.state(content)
        if before == content == verified and live in (Live.SAME, Live.UNKNOWN):
            return Applied.UNCHANGED
        if before != content:
            staged = stage(self._file, content, self._mode)
            await self._balancer.check(staged)
            await failpoint.hit("edge.before_swap")
            swap(staged, self._file)
            await failpoint.hit("edge.after_swap")
        try:
            applied = await self._balancer.take(content)
        except OutOfStep as error:
            if live is Live.DOWN:
                raise OutOfStep(
                    f"{error}; it seems not to run: {self._file} is checked and in place for its "
                    "start"
                ) from error
            await self._put_back(good, content, error)
        try:
            await self._await_live(content, applied)
        except OutOfStep as error:
            await self._put_back(good, content, error)
        write_whole(self._kept, content)
        return applied

    async def preview(self, pools: Pools) -> str:
        content = self._balancer.render(pools)
        before = read_whole(self._file) or b""
        if before == content:
            return ""
        await self._try(content)
        return unified_diff(before, content, str(self._file))

    async def validate(self, pools: Pools) -> str:
        content = self._balancer.render(pools)
        await self._try(content)
        return content.decode("utf-8", "replace")

    async def _try(self, content: bytes) -> None:
        """Have it checked, apart from what is in place."""
        # Not beside the file: whoever keeps it may be at work.
        with tempfile.TemporaryDirectory(prefix="crawler-edge-") as folder:
            staged = Path(folder) / self._file.name
            write_whole(staged, content)
            await self._balancer.check(staged)

    async def tidy(self) -> float | None:
        return await self._balancer.tidy()

    def close(self) -> None:
        self._lock.release()

    async def _await_live(self, content: bytes, applied: Applied) -> None:
        """Return once it is up, and nothing else is. Raises `OutOfStep`."""
        until = self._clock.elapsed() + self._verify_s
        settle_s = _SETTLE_S if applied is Applied.RELOADED else 0.0
        since: float | None = None
        while (live := await self._balancer.state(content)) is not Live.UNKNOWN:
            now = self._clock.elapsed()
            if live is not Live.SAME:
                since = None
            elif since is None:
                since = now
            if since is not None and now - since >= settle_s:
                return
            if since is None and now >= until:
                goes_on = "the old one goes on" if live is Live.OTHER else "nothing answers"
                said = self._complaint() if self._complaint is not None else ""
                why = f"it says: {said}" if said else "see the balancer's own log"
                raise OutOfStep(
                    f"the new configuration did not come up within {self._verify_s:g} s, and "
                    f"{goes_on}; {why}"
                )
            await self._clock.sleep(_LOOK_S)

    async def _put_back(self, good: bytes | None, content: bytes, why: OutOfStep) -> NoReturn:
        """Restore what worked; raises ``why``, with what came of that."""
        if good is None or good == content:
            raise why
        ROLLBACKS.labels(self.name).inc()
        write_whole(self._file, good, self._mode)
        try:
            if await self._balancer.state(good) is not Live.SAME:
                await self._await_live(good, await self._balancer.take(good))
        except OutOfStep as error:
            raise OutOfStep(f"{why}; the last good one is back in place, but: {error}") from why
        raise OutOfStep(f"{why}; the last good one is back and live") from why


def unified_diff(before: bytes, after: bytes, name: str) -> str:
    """As diff -u prints it."""
    old, new = (each.decode("utf-8", "replace").splitlines(True) for each in (before, after))
    return "".join(difflib.unified_diff(old, new, name, f"{name} (new)"))
