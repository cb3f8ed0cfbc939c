"""What the leader knows at one moment, as frozen values that decisions are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crawler.model import Node


@dataclass(frozen=True, slots=True)
class Job:
    """A resource as placing sees it.

    ``node_id`` and ``address`` are the assignment (both "": unassigned), ``revision`` its token.
    ``rest`` says why it needs no worker ("": it wants one). ``defined``: it has a definition.
    ``started``: its worker already runs it, so that the worker's reported load includes it.
    """

    name: str
    node_id: str = ""
    address: str = ""
    revision: int = 0
    hosts: tuple[str, ...] = ()
    defined: bool = True
    started: bool = False
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """A live worker. ``active`` are the pages in flight that it reports; ``steady`` is False for
    one that came back a moment ago. ``trouble`` is what it says keeps it from its work ("":
    nothing), ``given_up`` that this has lasted too long to be waited for."""

    node: Node
    active: int = 0
    steady: bool = True
    drained: bool = False
    trouble: str = ""
    given_up: bool = False

    @property
    def open(self) -> bool:
        """Whether it may be given work at all."""
        return self.steady and not self.drained and not self.trouble


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a plan depends on.

    ``settling`` are workers that vanished so lately that others may yet follow; ``hold`` is the
    breaker's reason for waiting with all orphans ("": it does not); ``moves_left`` is how many
    resources may be moved for balance now.
    """

    jobs: tuple[Job, ...]
    seats: Mapping[str, Seat]
    settling: frozenset[str] = field(default_factory=frozenset)
    hold: str = ""
    moves_left: int = 0
