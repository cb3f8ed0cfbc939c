"""The wire between supervisor and child carries every message whole, and survives garbage."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from crawler.model import HostWait, LiveRecord
from crawler.worker.channel import (
    Beat,
    Channel,
    Drain,
    Ended,
    Going,
    Hello,
    Order,
    Outcome,
    Report,
    Start,
    Started,
    Stop,
    decode,
    encode,
)
from crawler.worker.order import JobOrder, Strike

ORDER = JobOrder(
    name="bücher",
    resource_id="1621665639791857664",
    run=3,
    definition='{"start_urls":["https://shop.example/\\n"]}',
    definition_revision=17,
    cluster="c1",
    revision=21,
    node="go.micro.server.worker-2",
    strikes=(Strike("00" * 16, "parse timeout"), Strike("ff" * 16, "memory limit")),
)
MESSAGES: tuple[Order | Report, ...] = (
    Hello({"store": "sqlite:///x", "limits": [1, 2]}, parent=7, memory_fd=5, beat_s=0.5),
    Start(1, 0, ORDER),
    Stop(1, 1.0),
    Drain(1.0),
    Beat(4),
    Started(1),
    Going(1, LiveRecord(3, 41.5, "", (HostWait("a.example", 7, "next in 0.7 s"),))),
    Ended(1, Outcome.FENCED, "newer claim"),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_as_it_was(message: Order | Report) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


def test_what_a_newer_version_adds_is_dropped() -> None:
    values = json.loads(encode(Start(1, 0, ORDER)))
    values["colour"] = values["order"]["colour"] = values["order"]["strikes"][0]["colour"] = "red"
    assert decode(json.dumps(values).encode()) == Start(1, 0, ORDER)
    assert decode(b'{"type":"sing","loud":true}\n') is None


async def channels() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return await Channel.open(ours), theirs


@pytest.mark.parametrize("garbage", [b"{\n", b"[]\n", b"{}\n", b'{"type":"beat"}\n', b"\xff\n"])
async def test_garbage_ends_the_conversation(garbage: bytes) -> None:
    channel, other = await channels()
    with other:
        other.sendall(encode(Beat(1)) + garbage + encode(Beat(2)))
        assert [each async for each in channel.receive()] == [Beat(1)]
    channel.close()


async def test_a_line_without_its_end_was_never_said() -> None:
    channel, other = await channels()
    with other:
        other.sendall(encode(Beat(1)) + encode(Started(9))[:-1])
    assert [each async for each in channel.receive()] == [Beat(1)]
    channel.close()


async def test_sending_never_waits_and_flushing_does() -> None:
    channel, other = await channels()
    large = Start(1, 0, ORDER.with_strikes([Strike("0" * 32, "x" * 2_000_000)]))
    with other:
        channel.send(large)
        assert channel.unsent_bytes > 0
        flushing = asyncio.create_task(channel.flush())
        peer = await Channel.open(other)
        assert await anext(peer.receive()) == large
        await flushing
        assert channel.unsent_bytes == 0
        peer.close()
    channel.close()


async def test_sending_to_nobody_has_no_effect() -> None:
    channel, other = await channels()
    other.close()
    assert [each async for each in channel.receive()] == []
    for _ in range(10):
        channel.send(Beat(1))
    await channel.flush()
    channel.close()
