"""What must outlive a restart in an outage: who was behind each door when that was last known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from crawler.edge.files import read_whole, write_whole
from crawler.edge.members import Member
from crawler.errors import Misconfigured, OutOfStep

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A pool as `crawler.edge.hold.Hold` left it."""

    members: tuple[Member, ...] = ()
    since: float | None = None


class Memory:
    """A directory. Raises `Misconfigured` where it cannot be used. ``frozen``: it is only read, as
    it may be another process's."""

    def __init__(self, directory: Path, *, frozen: bool = False) -> None:
        self._directory = directory
        self._frozen = frozen
        self._file = directory / "members.json"
        self._written: bytes | None = None
        if frozen:
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"state: cannot use {directory}: {error.strerror}") from error

    def kept(self, target: str, kind: str) -> Path:
        """Where the copy of what a target had when it was last verified is. What it had as another
        kind of load balancer is nothing to put back."""
        return self._directory / f"{target}.{kind}.kept"

    def read(self) -> dict[str, Remembered]:
        """All pools; what cannot be read is not there."""
        try:
            self._written = read_whole(self._file)
            data = json.loads(self._written or b"{}")
            return {
                name: Remembered(tuple(Member(**each) for each in pool["members"]), pool["since"])
                for name, pool in data.items()
            }
        except (OutOfStep, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("nothing remembered", file=str(self._file), error=str(error))
            return {}

    def write(self, pools: Mapping[str, Remembered]) -> None:
        """Remember these, on the disk. A disk that takes nothing is only worth a warning here."""
        if self._frozen:
            return
        data = {
            name: {"members": [asdict(each) for each in pool.members], "since": pool.since}
            for name, pool in sorted(pools.items())
        }
        content = json.dumps(data, indent=1).encode()
        if content == self._written:
            return
        try:
            write_whole(self._file, content, 0o600)
            self._written = content
        except OutOfStep as error:
            log.warning("not remembered", error=str(error))
