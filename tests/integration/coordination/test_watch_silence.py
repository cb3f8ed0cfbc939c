"""How long the watch of a scripted server bears silence: in real time, a moment at a time."""

from __future__ import annotations

import asyncio

import pytest

from crawler.coordination.watch import SILENT_PROBES
from crawler.errors import Compacted
from tests.fakes.watches import HANG, Script, created, scripted, told

PROBE_S = 0.4


async def test_a_silent_stream_is_probed_and_then_left() -> None:
    async with scripted([created(8), told(6), HANG], [told(7)], probe_s=PROBE_S) as (
        server,
        batches,
    ):
        assert await anext(batches) == [6]
        assert await asyncio.wait_for(anext(batches), 60) == [7]
        assert server.probes == SILENT_PROBES
        assert server.starts == [5, 7]


async def test_a_slow_listener_is_not_a_silent_stream() -> None:
    script: Script = [created(8), told(6), told(7), HANG]
    async with scripted(script, probe_s=PROBE_S) as (server, batches):
        assert await anext(batches) == [6]
        await asyncio.sleep(PROBE_S * (SILENT_PROBES + 3))
        assert await anext(batches) == [7]
        assert server.starts == [5]


async def test_a_start_that_nobody_knows_is_given_up() -> None:
    # The history is not there: etcd was restored to an older state.
    script: Script = [created(3), HANG]
    async with scripted(script, start=50, current=9, probe_s=PROBE_S) as (_, batches):
        with pytest.raises(Compacted):
            await asyncio.wait_for(anext(batches), 60)
