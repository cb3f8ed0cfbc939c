"""A worker's child that crawls nothing: it confirms every start, ends every job that is stopped,
and beats.

It needs the standard library only, so that a hundred of them are up in seconds. The messages are
those of `crawler.worker.channel`.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator, Mapping
from typing import Any

_CHUNK = 1 << 16


class LightChild:
    """One, at the other end of its supervisor's channel."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._running: set[int] = set()
        self._beat_s = 1.0

    def serve(self) -> None:
        """Obey until the supervisor is gone or asks for the end."""
        pending = b""
        while True:
            ready, _, _ = select.select([self._channel], [], [], self._beat_s)
            if ready:
                received = self._channel.recv(_CHUNK)
                if not received:
                    return
                *lines, pending = (pending + received).split(b"\n")
                orders = [json.loads(line) for line in lines]
                for order in orders:
                    self._send(self._answers(order))
                if any(order["type"] == "drain" for order in orders):
                    return
            self._send([{"type": "beat", "active": 0}])

    def _answers(self, order: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        match order["type"]:
            case "hello":
                self._beat_s = order["beat_s"]
            case "start":
                self._running.add(order["number"])
                yield {"type": "started", "number": order["number"]}
            case "stop":
                self._running.discard(order["number"])
                yield _ended(order["number"])
            case "drain":
                yield from map(_ended, self._running)

    def _send(self, reports: Iterator[Mapping[str, Any]] | list[Mapping[str, Any]]) -> None:
        lines = [json.dumps(each).encode() + b"\n" for each in reports]
        self._channel.sendall(b"".join(lines))


def _ended(number: int) -> Mapping[str, Any]:
    return {"type": "ended", "number": number, "outcome": "stopped", "reason": ""}


if __name__ == "__main__":
    with socket.socket(fileno=0) as end:
        end.setblocking(True)
        LightChild(end).serve()
