"""A process kept alive: started with its own log file, restarted when it dies, stopped in time.

A kept process runs in a session of its own, so that Ctrl-C in the terminal reaches only its
keeper, which then stops all in order; and it dies with its keeper (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.errors import Misconfigured

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_STEADY_S = 10.0  # whoever ran this long is restarted without a long wait
_LOG_MAX_BYTES = 20_000_000
# What our commands exit with when their settings are wrong: a restart would not help.
EXIT_MISCONFIGURED = 2


def _die_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """What the new process does before exec: ask for ``number`` when its parent thread ends."""

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def turn_log(path: Path, max_bytes: int = _LOG_MAX_BYTES) -> None:
    """Start a log that grew too large anew; one older one is kept.

    Copied and cut, not moved, because its writer has it open (for appending, so that it goes on
    at the new end). What it writes between the two steps is lost.
    """
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_suffix(path.suffix + ".1"))
        os.truncate(path, 0)


def last_line(path: Path) -> str:
    """The last line of a log, "" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


class Kept:
    """One program that should always run. `start` once, then `watch`; `stop` ends it.

    ``death`` is the signal it gets when the keeper dies without stopping it.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log_path: Path,
        clock: Clock,
        *,
        environ: Mapping[str, str] | None = None,
        death: signal.Signals = signal.SIGTERM,
        restart: bool = True,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.starts = 0
        self._argv = tuple(argv)
        self._clock = clock
        self._environ = dict(os.environ if environ is None else environ)
        self._death = death
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> int:
        """Start it and return its pid. Raises `Misconfigured` when it cannot be executed."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        turn_log(self.log_path)
        with self.log_path.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environ,
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid(), self._death),
                )
            except OSError as error:
                raise Misconfigured(f"cannot start {self._argv[0]}: {error.strerror}") from error
        self.starts += 1
        self._started_at = self._clock.elapsed()
        log.debug("process started", name=self.name, pid=self._process.pid)
        return self._process.pid

    async def watch(self) -> NoReturn:
        """Restart it whenever it dies, more slowly each time that it dies soon.

        Raises `Misconfigured` with its last words where a restart cannot help.
        """
        backoff, chance, soon = Backoff(0.2, 5.0, 0.1), random.Random(), 0
        while True:
            assert self._process is not None, "start comes first"
            code = await self._process.wait()
            if self._stopping or not self._restart:
                await asyncio.Event().wait()  # whoever stops it cancels this too
            if code == EXIT_MISCONFIGURED:
                raise Misconfigured(f"{self.name}: {last_line(self.log_path) or 'cannot start'}")
            soon = 0 if self._clock.elapsed() - self._started_at > _STEADY_S else soon + 1
            delay = backoff.delay(soon, chance)
            log.warning(
                "process died", name=self.name, code=code, again_in_s=round(delay, 1),
                last_words=last_line(self.log_path)[:300],
            )  # fmt: skip
            await self._clock.sleep(delay)
            if self._stopping:
                continue
            await self.start()

    async def stop(self, grace_s: float) -> bool:
        """SIGTERM, and SIGKILL after ``grace_s``. Whether it ended by itself in time."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return True
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            log.warning("killed", name=self.name, pid=process.pid, after_s=grace_s)
            process.kill()
            await process.wait()
            return False
        return True

    def kill(self) -> None:
        """kill -9, as an accident would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
