"""A `Proxy` on a host of a laboratory, which does what the lines on its input say.

``python -m tests.lab.gate ADDRESS PORT TARGET_PORT`` forwards from that address to a server on the
same host's loopback.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.lab.network import Host
from tests.lab.proxy import Proxy


class Gate:
    """The way to a server on ``host``, through ``port`` of its address."""

    def __init__(self, host: Host, port: int, target: int) -> None:
        self.url = f"{host.address}:{port}"
        self._process = host.start(
            [sys.executable, "-m", "tests.lab.gate", host.address, str(port), str(target)],
            output=subprocess.PIPE,
            error=subprocess.DEVNULL,
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._hear()

    def lose(self, answer: str) -> None:
        """Reset a client instead of giving it ``answer``; "": no longer."""
        self._say(f"lose {answer}")

    def swallow(self) -> None:
        """Let nothing through, either way, without a word."""
        self._say("swallow")

    def heal(self) -> None:
        """Forward again, what was held back first."""
        self._say("heal")

    def cuts(self) -> int:
        """How many clients were cut off so far."""
        return int(self._say("cuts"))

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        heard = self._process.stdout.readline()
        assert heard, "the gate has ended"
        return heard.decode().strip()


async def _serve(address: str, port: int, target: int) -> None:
    proxy = Proxy("127.0.0.1", target)
    server = await asyncio.start_server(proxy.serve, address, port)
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print("open", flush=True)
    async with server:
        while line := (await lines.readline()).decode():
            _obey(proxy, *line.split())
            print(proxy.cuts, flush=True)


def _obey(proxy: Proxy, order: str, answer: str = "") -> None:
    if order == "lose":
        proxy.lose(answer.encode() or None)
    elif order == "swallow":
        proxy.swallow()
    elif order == "heal":
        proxy.heal()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
