"""The guard refuses every spelling of an address that is not public."""

import socket
from ipaddress import ip_address

import pytest

from crawler.address import AddressRefused, Guard, is_public, loopback_hosts, unwrap
from crawler.errors import InvalidInput, Refused

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001:0:102:304::f5ff:fffe",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.threat(6)
@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        Guard().check(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    Guard().check(text, 443)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(Refused):
        Guard().check("example.com")


@pytest.mark.threat(7)
@pytest.mark.parametrize("port", [0, 22, 25, 110, 143, 587, 6000, 6667])
def test_ports_of_other_protocols_are_refused_unless_they_are_allowed(port: int) -> None:
    with pytest.raises(Refused, match="not the web's"):
        Guard().check("8.8.8.8", port)
    Guard(["8.8.8.0/24"]).check("8.8.8.8", port)
    Guard(hosts=[f"8.8.8.8:{port}"]).check("8.8.8.8", port)


@pytest.mark.parametrize("port", [80, 443, 81, 3000, 8000, 8080, 8443])
def test_ports_of_the_web_are_many(port: int) -> None:
    Guard().check("8.8.8.8", port)


def test_networks_may_be_allowed_in_whatever_disguise_they_come() -> None:
    guard = Guard(["10.0.0.0/8", "fd00::/8"])
    guard.check("10.1.2.3", 8080)
    guard.check("::ffff:10.1.2.3")
    guard.check("fd12::1")
    with pytest.raises(Refused):
        guard.check("192.168.1.1")


def test_a_typed_host_is_allowed_on_its_port_only() -> None:
    guard = Guard(hosts=["127.0.0.1:8000", "[::1]", "localhost:9000"])
    guard.check("127.0.0.1", 8000)
    guard.check("::1", 443)
    guard.check("::1", 9000)
    for address, port in [("127.0.0.1", 8001), ("127.0.0.2", 8000), ("::1", 8000)]:
        with pytest.raises(Refused):
            guard.check(address, port)


def test_nonsense_is_refused_when_the_guard_is_made() -> None:
    with pytest.raises(InvalidInput):
        Guard(["10.0.0.0/99"])
    with pytest.raises(InvalidInput):
        Guard(hosts=["example.com"])


def test_loopback_hosts_are_literal_ones() -> None:
    hosts = ["localhost:80", "127.0.0.1", "[::1]:8", "10.0.0.1", "example.com", "localhost.evil"]
    assert loopback_hosts(hosts) == ("localhost:80", "127.0.0.1", "[::1]:8")


@pytest.mark.threat(6)
def test_sockets_are_opened_for_permitted_addresses_only() -> None:
    stream = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with Guard(hosts=["127.0.0.1"]).open_socket((*stream, ("127.0.0.1", 80))) as opened:
        assert opened.family == socket.AF_INET
    with pytest.raises(AddressRefused, match="not a public address"):
        Guard().open_socket((*stream, ("127.0.0.1", 80)))


def test_unwrapping_finds_the_inner_address() -> None:
    assert unwrap(ip_address("2002:808:808::1")) == ip_address("8.8.8.8")
    assert unwrap(ip_address("64:ff9b::a9fe:a9fe")) == ip_address("169.254.169.254")
    assert unwrap(ip_address("2606:4700::1111")) == ip_address("2606:4700::1111")
    assert not is_public(unwrap(ip_address("2001:0:102:304::f5ff:fffe")))
