"""Where new resources go while many calls ask at once: the latest scales, and what was chosen but
is not yet written."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from crawler.master.scales import Choice, Scales
from crawler.master.situation import Job


class Placing:
    """The choices of one term. A choice counts from the moment it is made."""

    def __init__(self) -> None:
        self._scales = Scales({})
        self._open: dict[str, tuple[Job, str]] = {}

    def renew(self, scales: Scales, jobs: Iterable[Job]) -> None:
        """Weigh by ``scales`` from now on: they come from the catalog's ``jobs``, and so know of
        everything that was written, but not of what is being written."""
        self._scales = scales
        if self._open:
            # The watch may tell of a write before its own answer does.
            written = {job.name for job in jobs if job.node_id}
            self._open = {name: at for name, at in self._open.items() if name not in written}
            for job, node_id in self._open.values():
                scales.add(job, node_id)

    def choose(self, job: Job, avoid: Collection[str] = ()) -> Choice:
        """Choose and count in; then `keep` or `drop` the choice. One at a time per name."""
        choice = self._scales.choose(job, avoid)
        if choice.seat is not None:
            node_id = choice.seat.node.id
            self._scales.add(job, node_id)
            self._open[job.name] = job, node_id
        return choice

    def keep(self, name: str) -> None:
        """It is written, and the catalog knows."""
        self._open.pop(name, None)

    def drop(self, name: str) -> None:
        """It was not written, or nobody knows whether it was: the catalog will."""
        if (found := self._open.pop(name, None)) is not None:
            self._scales.remove(*found)
