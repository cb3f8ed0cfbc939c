"""The two ends of a line, to see what becomes of what is sent over it.

``peer.py echo PORT`` returns what it gets, over TCP and UDP. ``peer.py talk HOST PORT`` connects
and then, per line of its input, sends a byte and tells what happened: "answered", "silent",
"reset", "refused" or "unreachable", and after how many seconds. ``peer.py count HOST PORT NUMBER``
tells how many datagrams came back.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

PATIENCE_S = 0.6
QUIET_S = 0.15
GROUP = 50
ERRORS = {
    ConnectionRefusedError: "refused",
    ConnectionResetError: "reset",
    BrokenPipeError: "reset",
    TimeoutError: "silent",
}


async def echo(port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            writer.write(piece)

    mirror = socket.socket(type=socket.SOCK_DGRAM)
    mirror.bind(("0.0.0.0", port))

    def reflect() -> None:
        mirror.sendto(*mirror.recvfrom(1000))

    asyncio.get_running_loop().add_reader(mirror, reflect)
    await asyncio.start_server(serve, "0.0.0.0", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


def attempt(action: Callable[[], object]) -> str:
    began = time.monotonic()
    try:
        outcome = "closed" if action() == b"" else "answered"
    except OSError as error:
        outcome = ERRORS.get(type(error), "unreachable")
    return f"{outcome} {time.monotonic() - began:.3f}"


def talk(host: str, port: int) -> None:
    connection = socket.socket()
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(attempt(partial(connection.connect, (host, port))), flush=True)
    for _ in sys.stdin:
        print(attempt(lambda: connection.recv(connection.send(b"x"))), flush=True)


def count(host: str, port: int, number: int) -> None:
    answers = 0
    with socket.socket(type=socket.SOCK_DGRAM) as line:
        line.settimeout(QUIET_S)
        # In groups that the receive buffers can hold.
        for _ in range(number // GROUP):
            for _ in range(GROUP):
                line.sendto(b"x", (host, port))
            with suppress(TimeoutError):
                while line.recv(10):
                    answers += 1
    print(answers, flush=True)


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "echo":
        asyncio.run(echo(int(rest[0])))
    elif mode == "talk":
        talk(rest[0], int(rest[1]))
    else:
        count(rest[0], int(rest[1]), int(rest[2]))
