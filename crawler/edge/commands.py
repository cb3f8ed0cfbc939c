"""Commands of other programs, each with an end: what they said, or why they failed."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from crawler.errors import OutOfStep

_MOST_SAID = 2_000


async def run_command(words: Sequence[str], timeout_s: float) -> str:
    """Run it to its end; what it printed. Raises `OutOfStep` with its own words when it fails, and
    kills it with all that it started when it takes longer than ``timeout_s``, or is waited for no
    more.

    It writes into a file and not a pipe: a daemon that it leaves behind holds a pipe open.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise OutOfStep(f"cannot run {words[0]}: {error.strerror}") from error
        try:
            async with asyncio.timeout(timeout_s):
                code = await process.wait()
        except TimeoutError:
            raise OutOfStep(
                f"`{shlex.join(words)}` did not end within {timeout_s:g} s{_words(said.fileno())}"
            ) from None
        finally:
            if process.returncode is None:
                _kill_group(process.pid)
                await asyncio.shield(process.wait())
        text = _words(said.fileno())
        if code:
            raise OutOfStep(f"`{shlex.join(words)}` failed ({code}){text}")
        return text


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):  # it ended just now
        os.killpg(pid, signal.SIGKILL)


def _words(number: int) -> str:
    """The end of what was written, after a colon; "" for nothing."""
    size = os.fstat(number).st_size
    text = os.pread(number, _MOST_SAID, max(0, size - _MOST_SAID)).decode("utf-8", "replace")
    return f": {text.strip()}" if text.strip() else ""
