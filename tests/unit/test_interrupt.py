"""Signals in a bench: all of its work is undone, however many of them come."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.bench.interrupt import Interrupted, noted_signals, until_noted


async def test_clean_up_goes_on_while_more_signals_come() -> None:
    undone = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0)
            undone.append(True)

    with noted_signals() as came:
        with pytest.raises(Interrupted, match="SIGTERM") as error:
            await until_noted(came, work())
        os.kill(os.getpid(), signal.SIGINT)
        assert came == [signal.SIGTERM, signal.SIGINT, signal.SIGINT]
    assert (undone, error.value.exit_code) == ([True], 128 + signal.SIGTERM)


async def test_without_a_signal_there_is_an_answer() -> None:
    async def work() -> int:
        return 7

    with noted_signals() as came:
        assert await until_noted(came, work()) == 7
