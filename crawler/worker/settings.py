"""How a worker keeps its children: counts, limits and graces, checked when built."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Literal

from crawler.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """All durations are seconds.

    ``outage_policy``: what running crawls do while there is no session: ``continue`` (the fence
    in the store covers them) or ``stop``.
    """

    processes: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    beat_s: float = 0.5  # between two heartbeats of a child
    parse_limit_s: float = 10.0  # a child silent for so long is killed
    start_limit_s: float = 30.0  # the same before its first beat, while Python imports
    stop_grace_s: float = 1.0  # from cancelling a job to cancelling its clean-up
    stop_limit_s: float = 2.0  # from asking for a job's stop to killing its child
    drain_limit_s: float = 1.5  # all jobs of a worker that is asked to end
    child_memory_bytes: int = 1 << 30  # resident memory
    outage_policy: Literal["continue", "stop"] = "continue"

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and value <= 0:
                raise Misconfigured(f"{each.name}: must be above 0 (got {value})")
        if self.stop_limit_s <= self.stop_grace_s:
            raise Misconfigured("stop_limit_s: must be above stop_grace_s")
        if self.parse_limit_s <= 2 * self.beat_s:
            raise Misconfigured("parse_limit_s: must be above two beats")
