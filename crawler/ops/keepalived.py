"""One address for two balancers: what keepalived is told on each of them, as keepalived.conf(5).

The figures were measured with keepalived 2.2.7: adverts of 0.2 s move the address within 0.6 s of a
silence, of 1 s within 2.8 s. A check with a weight takes longer than one without.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from crawler.errors import InvalidInput
from crawler.ops.files import MARK, Done, File, place
from crawler.ops.programs import PATH, run_program

CONFIGURATION = Path("/etc/keepalived/keepalived.conf")

_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")  # IFNAMSIZ, the zero at the end counted

_FILE = re.compile(r"/[A-Za-z0-9_.,:@%+=/-]+")

_CONFIGURATION = Template("""\
$mark keepalived. To change it, run that again on both balancers: they differ only
# in priority, unicast_src_ip and unicast_peer.

global_defs {
    # Scripts run as nobody, and only if nobody could have changed them.
    script_user nobody
    enable_script_security
    vrrp_version 3
}

# Whether the balancer on this machine answers. Any answer counts: a 502 is the fault of what is
# behind it, and the other balancer would give it, too. One that is dead refuses at once, and the
# address is given up within a second; one that is slow has three. With a weight it would take
# seconds longer.
vrrp_script balancer {
    script "$curl --silent --output /dev/null --max-time 3 --noproxy * $check"
    interval 1
    timeout 4
    fall 1
    rise 2
}

vrrp_instance crawler {
    # Both begin as BACKUP, and nobody takes the address back: who returns disturbs no one.
    state BACKUP
    nopreempt
    interface $interface
    virtual_router_id $vrid
    # The higher one is first to take the address, and keeps it where both held it for a while.
    priority $priority
    # Silence of three adverts means that the other one is gone.
    advert_int 0.2

    # Sent to the other one alone: switches and clouds drop multicast.
    unicast_src_ip $address
    unicast_peer {
$peers
    }
    virtual_ipaddress {
$vips
    }
    track_script {
        balancer
    }
    # Neighbours learn again where the address is, should one of them have missed it.
    garp_master_refresh 10
}
""")

_VIRTUAL_SERVER = Template("""
# The kernel (IPVS) passes on what is sent to this port, past the balancer on this machine.
virtual_server $vip $port {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
$servers
}
""")

_REAL_SERVER = Template("""\
    real_server $host $port {
        weight 1
        TCP_CHECK {
            connect_timeout 1
        }
    }""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """One of two (or more) balancers. ``vips``: ADDRESS[/PREFIX]; ``address``: its own, from which
    it speaks to its ``peers``; ``vrid``: the same on all of them, and on no other pair of that
    network; ``check``: a URL that its nginx or haproxy answers. With ``port``, the kernel passes
    what comes to that port of each address on to ``reals`` (HOST:PORT). ``include``: a file that
    says more, as `crawler edge` writes it."""

    interface: str
    vips: tuple[str, ...]
    address: str
    peers: tuple[str, ...]
    priority: int
    vrid: int
    check: str
    port: int | None = None
    reals: tuple[str, ...] = ()
    include: Path | None = None

    def __post_init__(self) -> None:
        if _INTERFACE.fullmatch(self.interface) is None:
            raise _wrong("interface", f"{self.interface!r} is no name of an interface")
        for name in ("vips", "peers"):
            if not getattr(self, name):
                raise _wrong(name.removesuffix("s"), "at least one is needed")
        virtual = [_vip(each) for each in self.vips]
        own = _address("address", self.address)
        peers = [_address("peer", each) for each in self.peers]
        for one in virtual:
            if one.version != own.version:
                raise _wrong("vip", f"{one} and --address {own} are not of the same kind")
            if one.ip in (own, *peers):
                raise _wrong("vip", f"{one.ip} is the address of a balancer; it must be a free one")
        for peer in peers:
            if peer.version != own.version:
                raise _wrong("peer", f"{peer} and --address {own} are not of the same kind")
            if peer == own:
                raise _wrong("peer", f"{peer} is this balancer itself (--address)")
        _in_range("priority", self.priority, 1, 254)  # 255: of the owner, by RFC 5798
        _in_range("vrid", self.vrid, 1, 255)
        parts = urlsplit(self.check)
        if parts.scheme != "http" or not parts.hostname or re.search(r"[\s\"'{}\\]", self.check):
            raise _wrong("check", f"{self.check!r} is no URL like http://127.0.0.1/")
        if (self.port is None) != (not self.reals):
            raise _wrong("real", "--ipvs-port and --real go together")
        if self.port is not None:
            _in_range("ipvs-port", self.port, 1, 65535)
        if self.include is not None and not _FILE.fullmatch(str(self.include)):
            raise _wrong("include", f"{self.include} is no path from / on, without blanks")
        for each in self.reals:
            if _real(each)[0].version != own.version:
                raise _wrong("real", f"{each} and --address {own} are not of the same kind")


def configuration(balancer: Balancer) -> str:
    """The whole file for that balancer."""
    text = _CONFIGURATION.substitute(
        mark=MARK,
        curl=shutil.which("curl", path=PATH) or "/usr/bin/curl",
        check=balancer.check,
        interface=balancer.interface,
        vrid=balancer.vrid,
        priority=balancer.priority,
        address=balancer.address,
        peers="\n".join(f"        {each}" for each in balancer.peers),
        vips="\n".join(f"        {_vip(each)}" for each in balancer.vips),
    )
    if balancer.include is not None:
        text += f"\n# Kept by crawler edge.\ninclude {balancer.include}\n"
    if balancer.port is None:
        return text
    servers = "\n".join(
        _REAL_SERVER.substitute(host=host, port=port) for host, port in map(_real, balancer.reals)
    )
    return text + "".join(
        _VIRTUAL_SERVER.substitute(vip=_vip(each).ip, port=balancer.port, servers=servers)
        for each in balancer.vips
    )


def install(root: Path, balancer: Balancer) -> list[tuple[Path, Done]]:
    """Write the file below ``root``, once keepalived has read it; without one, or for a machine
    with other interfaces, it is only written.

    Raises `Misconfigured` with keepalived's words, and `Conflict` for a file of somebody else.
    """
    file = File(CONFIGURATION, configuration(balancer))
    if shutil.which("keepalived", path=PATH) and _is_here(root, balancer):
        with tempfile.TemporaryDirectory(prefix="crawler-keepalived-") as folder:
            staged = Path(folder, file.path.name)
            # Where scripts are not root's, 2.2.7 takes its own test run for an orphan and ends it.
            staged.write_text(file.text.replace("script_user nobody", "script_user root"))
            run_program("keepalived", "--config-test", "--log-console", f"--use-file={staged}")
    return place(root, [file])


def _is_here(root: Path, balancer: Balancer) -> bool:
    return root == Path("/") or balancer.interface in {name for _, name in socket.if_nameindex()}


def _vip(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise _wrong("vip", f"{text!r} is no ADDRESS or ADDRESS/PREFIX") from error


def _address(name: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise _wrong(name, f"{text!r} is no IP address") from error


def _real(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise _wrong("real", f"{text!r} is no ADDRESS:PORT")
    return _address("real", host.strip("[]")), int(port)


def _in_range(name: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise _wrong(name, f"expected {least} to {most}, got {number}")


def _wrong(name: str, said: str) -> InvalidInput:
    return InvalidInput(f"--{name}: {said}", field=name)
