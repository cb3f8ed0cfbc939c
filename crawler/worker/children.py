"""One crawling process as its supervisor sees it: its pipe, its shared memory, its death."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crawler.errors import Unavailable
from crawler.worker.channel import Channel, Hello
from crawler.worker.memory import Board

_PAGE_BYTES = resource.getpagesize()
_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """What is started inside inherits the blocked mask: Ctrl-C and a service manager signal the
    whole group, but only the supervisor may end its children, in order. Ours stay pending."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def describe_exit(code: int) -> str:
    """A return code of `subprocess` in words."""
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


class Child:
    """A started process. `kill` and `died` must follow before it is replaced."""

    def __init__(self, popen: subprocess.Popen[bytes], channel: Channel, board: Board) -> None:
        self.channel = channel
        self.board = board
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop = asyncio.get_running_loop()
        self._death: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._reap)

    @classmethod
    async def spawn(
        cls, command: Sequence[str], settings: Mapping[str, Any], beat_s: float
    ) -> Child:
        """Start the command with its end of the channel as stdin, and greet it.

        `subprocess` rather than the loop's own way: uvloop empties the signal mask. Nothing is
        awaited after it, so that a cancellation leaves no process behind. Raises `Unavailable`.
        """
        ours, theirs = socket.socketpair()
        channel = await Channel.open(ours)
        board = Board.create()
        try:
            with theirs, _signals_blocked():
                popen = subprocess.Popen(  # noqa: ASYNC220, S603 (a few ms; the app's command)
                    [*command], stdin=theirs.fileno(), pass_fds=(board.fd,)
                )
        except OSError as error:
            channel.close()
            board.close()
            raise Unavailable(f"cannot start {command[0]}: {error}") from error
        child = cls(popen, channel, board)
        child.channel.send(Hello(settings, os.getpid(), board.fd, beat_s))
        return child

    @property
    def pid(self) -> int:
        return self._popen.pid

    def resident_bytes(self) -> int:
        """Resident memory; 0 once it is dead."""
        try:
            statm = Path(f"/proc/{self.pid}/statm").read_text()
        except OSError:
            return 0
        return int(statm.split()[1]) * _PAGE_BYTES

    def waited_s(self) -> float:
        """How long it has been ready to run without getting a processor, in all; 0 where the
        kernel does not say (proc_schedstat(5): nanoseconds, the second number)."""
        try:
            schedstat = Path(f"/proc/{self.pid}/schedstat").read_text()
        except OSError:
            return 0.0
        return int(schedstat.split()[1]) / 1e9

    def kill(self) -> None:
        """SIGKILL, unless it is dead already."""
        if not self._death.done():
            self._popen.kill()

    async def died(self) -> int:
        """The return code, after the process is reaped."""
        return await asyncio.shield(self._death)

    async def end(self) -> None:
        """Kill, reap and release what it held."""
        self.kill()
        await self.died()
        self.channel.close()
        self.board.close()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._death.set_result(self._popen.wait())
