"""A way from the machine's own loopback into a laboratory, for the tests themselves.

The program runs on a host, but takes connections from a socket that it inherited, and a socket
stays in the network it was made in.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from tests.lab.network import Host
from tests.lab.proxy import Proxy


def open_window(host: Host, address: str, port: int) -> int:
    """A port of loopback whose connections go from ``host`` to ``address``; open as long as the
    host is not cleared."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        host.start(
            [sys.executable, "-m", "tests.lab.window", str(number), address, str(port)],
            pass_fds=[number],
            cwd=Path(__file__).parents[2],
        )
        opened: int = listening.getsockname()[1]
        return opened


async def _serve(number: int, address: str, port: int) -> None:
    proxy = Proxy(address, port)
    server = await asyncio.start_server(proxy.serve, sock=socket.socket(fileno=number))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
