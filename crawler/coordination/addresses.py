"""Under which address others reach this process."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"

_SIOCGIFADDR = 0x8915  # netdevice(7)
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, never bound


def advertise_address(
    host: str,
    port: int,
    *,
    advertise: str = "",
    podip: str = "",
    addresses: tuple[str, ...] | None = None,
) -> str:
    """``ip:port`` for the registry, given what is listened on (``host`` "" or a wildcard: all).

    ``--advertise`` wins (``HOST`` or ``HOST:PORT``), then loopback where only that is listened
    on, then ``--podip``, then the host itself, and for a wildcard the first of ``addresses``
    (default: this machine's) that is not loopback; loopback if there is none.
    """
    if advertise:
        return advertise if _has_port(advertise) else _join(advertise, port)
    if is_loopback(host):
        return _join(LOOPBACK if host == "localhost" else host, port)
    if podip:
        return _join(podip, port)
    if host.strip("[]") not in _WILDCARDS:
        return _join(host, port)
    known = tuple(local_addresses()) if addresses is None else addresses
    return _join(next((each for each in known if not is_loopback(each)), LOOPBACK), port)


def advertised_host(advertise: str) -> str:
    """Its ``HOST``; the port that may stand there is that of gRPC alone."""
    return advertise.rpartition(":")[0] if _has_port(advertise) else advertise


def is_loopback(host: str) -> bool:
    """Whether ``host``, an address or ``localhost``, is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def local_addresses() -> Iterator[str]:
    """The IPv4 address of each interface, in the system's order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            yield socket.inet_ntoa(answer[20:24])


def _has_port(address: str) -> bool:
    host, separator, port = address.rpartition(":")
    return bool(separator) and port.isdigit() and (":" not in host or host.endswith("]"))


def _join(host: str, port: int) -> str:
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
