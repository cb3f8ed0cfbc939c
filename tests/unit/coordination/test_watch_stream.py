"""The watch against a scripted server: where it resumes, what it joins, what ends it."""

from __future__ import annotations

import pytest

from crawler.errors import Compacted, InvalidInput
from tests.fakes.watches import BREAK, REFUSE, canceled, created, progress, scripted, told


async def test_it_resumes_behind_the_last_event_told_not_behind_a_header() -> None:
    async with scripted([created(8), told(6, 7, head=50), BREAK], [told(9)]) as (server, batches):
        assert await anext(batches) == [6, 7]
        assert await anext(batches) == [9]
        assert server.starts == [5, 8]


async def test_from_now_means_behind_the_header_of_the_creation() -> None:
    async with scripted([created(8), BREAK], [told(9)], start=0) as (server, batches):
        assert await anext(batches) == [9]
        assert server.starts == [0, 9]


async def test_fragments_are_joined_and_a_broken_one_is_told_again_whole() -> None:
    parts = [told(6, fragment=True), progress(8, watch_id=-1), told(6, fragment=True)]
    async with scripted([created(8), *parts, BREAK], [*parts, told(7)]) as (server, batches):
        assert await anext(batches) == [6, 6, 7]
        assert server.starts == [5, 5]


async def test_progress_of_this_watch_counts_and_that_of_all_watches_does_not() -> None:
    async with scripted(
        [created(8), progress(20, watch_id=-1), BREAK], [progress(30), BREAK], [told(31)]
    ) as (server, batches):
        assert await anext(batches) == [31]
        assert server.starts == [5, 5, 31]


async def test_a_compaction_is_an_error() -> None:
    async with scripted([canceled("", compacted=77)]) as (_, batches):
        with pytest.raises(Compacted) as failure:
            await anext(batches)
        assert failure.value.revision == 77


async def test_a_watch_that_another_server_ended_begins_again() -> None:
    async with scripted([canceled("etcdserver: no leader")], [told(6)]) as (_, batches):
        assert await anext(batches) == [6]


async def test_a_refusal_is_final() -> None:
    async with scripted([REFUSE]) as (_, batches):
        with pytest.raises(InvalidInput):
            await anext(batches)


async def test_a_start_that_a_lagging_member_does_not_know_yet_is_waited_for() -> None:
    # A linearizable read knows that the history is there.
    async with scripted([created(3), told(6)], current=9) as (_, batches):
        assert await anext(batches) == [6]
