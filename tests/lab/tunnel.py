"""What a bad line does to packets: delay, jitter, duplicates, loss. A TUN device of our own.

More specific routes lead what the host sends into the device; this program reads it there and
sends it on over the real interface, later, twice or not at all. Device and routes go with the
program (Linux Documentation/networking/tuntap.rst).
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.network import Host

_DEVICE = "bad0"
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_PACKET_BYTES = 65_535


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to each packet; jitter is uniform on both sides of the latency, so packets may
    overtake one another. Shares are of 1."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    duplicates: float = 0.0
    losses: float = 0.0

    def delays(self, chance: random.Random) -> tuple[float, ...]:
        """When the copies of one packet go out, in seconds from now."""
        if chance.random() < self.losses:
            return ()
        copies = 2 if chance.random() < self.duplicates else 1
        spread = (chance.uniform(-self.jitter_s, self.jitter_s) for _ in range(copies))
        return tuple(max(0.0, self.latency_s + each) for each in spread)


def start_tunnel(host: Host, disturbance: Disturbance, network: str) -> Callable[[], None]:
    """Disturb what ``host`` sends to ``network``, until the returned function is called."""
    process = host.start(
        [sys.executable, "-m", "tests.lab.tunnel", *map(str, astuple(disturbance))],
        output=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None

    def stop() -> None:
        process.kill()
        process.wait()

    with process.stdout as output:
        if (line := output.readline()) != b"ready\n":
            stop()
            raise RuntimeError(f"no tunnel: {(line + output.read()).decode()}")
    for half in ipaddress.ip_network(network).subnets():
        host.namespace.run("ip", "route", "add", f"{half}", "dev", _DEVICE, "src", host.address)
    return stop


def _open_device() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(device, _TUNSETIFF, request)
    subprocess.run(["ip", "link", "set", _DEVICE, "up"], check=True)
    # Answers come in over the real interface, though the way to their sender leads elsewhere.
    for name in ("all", "eth0"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
    return device


def _open_line() -> socket.socket:
    """A socket that sends whole IPv4 packets out of the real interface."""
    line = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    line.setblocking(False)
    return line


async def _serve(disturbance: Disturbance) -> None:
    device, line = _open_device(), _open_line()
    loop, chance = asyncio.get_running_loop(), random.Random()

    def send(packet: bytes) -> None:
        try:
            line.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
        except OSError:
            return  # as on a real line: it is lost

    def take() -> None:
        packet = os.read(device, _PACKET_BYTES)
        if packet[0] >> 4 != 4:
            return
        for delay_s in disturbance.delays(chance):
            loop.call_later(delay_s, send, packet)

    loop.add_reader(device, take)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    asyncio.run(_serve(Disturbance(*map(float, sys.argv[1:]))))
