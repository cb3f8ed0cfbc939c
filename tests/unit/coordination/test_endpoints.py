"""Settings for etcd: what is accepted, and how endpoints are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.clock import SystemClock
from crawler.coordination.endpoints import Target, read_target
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.operations import prefix_end
from crawler.errors import Misconfigured


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoints": ()},
        {"endpoints": ("",)},
        {"endpoints": ("ftp://h:1",)},
        {"endpoints": ("http://h:port",)},
        {"endpoints": ("http://h:1/path",)},
        {"endpoints": ("h:1",), "username": "u"},
        {"endpoints": ("h:1",), "cert_file": "c"},
        {"endpoints": ("h:1",), "call_timeout_s": 0.0},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="etcd"):
        EtcdSettings(**settings)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(EtcdSettings(("h:1",), "u", "secret"))


async def test_a_missing_certificate_is_named() -> None:
    settings = EtcdSettings(("https://h:1",), ca_file=str(Path("/nowhere/ca.pem")))
    with pytest.raises(Misconfigured, match=r"/nowhere/ca\.pem"):
        Etcd(settings, SystemClock())


@pytest.mark.parametrize(
    ("url", "tls", "address", "secure"),
    [
        ("http://10.0.0.1:2379", False, "10.0.0.1:2379", False),
        ("http://10.0.0.1:2379/", True, "10.0.0.1:2379", False),
        ("https://etcd.example", False, "etcd.example:2379", True),
        ("etcd.example", True, "etcd.example:2379", True),
        ("localhost:1", False, "localhost:1", False),
        ("http://[::1]:2379", False, "[::1]:2379", False),
    ],
)
def test_endpoints_are_read(url: str, tls: bool, address: str, secure: bool) -> None:
    EtcdSettings((url,))
    assert read_target(url, tls=tls) == Target(url, address, secure)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("/a/", b"/a0"), ("/resources/", b"/resources0"), ("a\udcff", b"b"), ("\udcff", b"\0")],
)
def test_the_end_of_a_prefix(prefix: str, end: bytes) -> None:
    assert prefix_end(prefix) == end
