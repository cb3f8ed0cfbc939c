"""Which network addresses may be reached: one guard, asked about the address really connected to.

Names are not judged: a name may resolve to anything, and to something else the next time. What
counts is the address that a socket is about to be connected to, so the guard opens the socket.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any
from urllib.parse import urlsplit

from crawler.errors import InvalidInput, Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What `socket_factory` of aiohttp's connector is given: an entry of getaddrinfo's answer.
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]

# An address that carries an IPv4 address is judged by that one. Prefix, and where the 32 bits end.
_EMBEDDED = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped, RFC 4291
    (IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated, RFC 2765
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
_TEREDO = IPv6Network("2001::/32")  # RFC 4380
_UNICAST = IPv6Network("2000::/3")  # all that IANA has given out for global unicast
_SPECIAL = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Python 3.11 counts most of it as global
    IPv4Network("192.88.99.0/24"),  # 6to4 relay anycast, the same
)
_DEFAULT_PORTS = (80, 443)
# Ports of other protocols, which a request could be taken for (mail and chat above all): the "bad
# ports" of the Fetch standard (fetch.spec.whatwg.org, "Port blocking").
_OTHER_PORTS = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
})  # fmt: skip


def unwrap(address: Address) -> Address:
    """The address that packets sent to ``address`` come to in the end."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TEREDO:
        return IPv4Address(~int(address) & 0xFFFFFFFF)
    for prefix, shift in _EMBEDDED:
        if address in prefix and address not in (IPv6Address("::"), IPv6Address("::1")):
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether the address belongs to one host on the public internet."""
    inner = unwrap(address)
    if isinstance(address, IPv6Address) and address in _TEREDO:
        return False
    if isinstance(inner, IPv6Address) and inner not in _UNICAST:
        return False
    if isinstance(inner, IPv4Address) and any(inner in network for network in _SPECIAL):
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def _split_host(host: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]`` and ``[v6]:port`` as name and port."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]") or not port.isdecimal():
        return host.strip("[]"), None
    return name.strip("[]"), int(port)


def _literal(host: str) -> tuple[tuple[Address, ...], int | None]:
    name, port = _split_host(host)
    if name == "localhost":
        return (IPv4Address("127.0.0.1"), IPv6Address("::1")), port
    try:
        return (ip_address(name),), port
    except ValueError:
        return (), port


def loopback_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    """Those of ``hosts`` that literally name this machine's loopback."""
    found = []
    for host in hosts:
        addresses, _ = _literal(host)
        if addresses and all(unwrap(address).is_loopback for address in addresses):
            found.append(host)
    return tuple(found)


class AddressRefused(PermissionError):
    """`Refused`, as an error that connecting code takes for a failed connection attempt."""


class Guard:
    """Decides by address. Public ones may be reached, but for ports of other protocols than the
    web's; others only as far as they are allowed.

    ``allowed``: networks, as CIDR texts, that may be reached although they are not public.
    ``hosts``: IP literals or ``localhost``, as ``host`` (ports 80 and 443) or ``host:port``, that
    the user typed. Raises `InvalidInput` when one of them cannot be read.
    """

    def __init__(self, allowed: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        for text in allowed:
            try:
                self._networks.append(ip_network(text.strip(), strict=False))
            except ValueError as error:
                raise InvalidInput(f"not a network: {text!r} ({error})") from error
        self._exact: set[tuple[Address, int]] = set()
        for host in hosts:
            addresses, port = _literal(host)
            if not addresses:
                raise InvalidInput(f"not an IP address or localhost: {host!r}")
            for each in _DEFAULT_PORTS if port is None else (port,):
                self._exact.update((unwrap(address), each) for address in addresses)

    def allows(self, address: Address, port: int | None = None) -> bool:
        """Whether ``port`` of this address may be connected to."""
        inner = unwrap(address)
        if port is not None and (inner, port) in self._exact:
            return True
        if is_public(address) and port not in _OTHER_PORTS:
            return True
        return any(inner in network or address in network for network in self._networks)

    def check(self, address: str | Address, port: int | None = None) -> None:
        """Raise `Refused` unless `allows`; also for a text that is no address."""
        try:
            parsed = ip_address(address)
        except ValueError as error:
            raise Refused(f"not an address: {address!r}") from error
        if not self.allows(parsed, port):
            reason = (
                f"port {port} is not the web's" if is_public(parsed) else "not a public address"
            )
            raise Refused(f"{parsed}: {reason}")

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A fresh socket for this entry of getaddrinfo; `AddressRefused` (an OSError) if refused.

        An OSError, so that the other addresses of the same name are still tried.
        """
        family, kind, protocol, _, target = info
        try:
            self.check(target[0], target[1])
        except Refused as refusal:
            raise AddressRefused(errno.EACCES, str(refusal)) from refusal
        return socket.socket(family, kind, protocol)


def names_loopback(host: str) -> bool:
    """Whether a Host header, port or not, names loopback whatever a name server says."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def in_clear(url: str) -> bool:
    """Whether what is sent there leaves this machine without TLS."""
    scheme, separator, rest = url.partition("://")
    host = (rest if separator else url).partition("/")[0].rpartition("@")[2]
    return (not separator or scheme.lower() == "http") and not names_loopback(host)
