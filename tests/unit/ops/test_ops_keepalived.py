"""The configuration of a pair of balancers: what differs between the two, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crawler.cli.main import run_command
from crawler.errors import InvalidInput
from crawler.ops.keepalived import CONFIGURATION, Balancer, configuration

FIRST = Balancer(
    interface="eth0",
    vips=("192.0.2.10/24",),
    address="192.0.2.1",
    peers=("192.0.2.2",),
    priority=150,
    vrid=51,
    check="http://127.0.0.1/",
)


def test_the_two_differ_in_what_the_comment_says() -> None:
    second = replace(FIRST, address="192.0.2.2", peers=("192.0.2.1",), priority=100)
    lines = [configuration(each).splitlines() for each in (FIRST, second)]
    differing = [a.split()[0] for a, b in zip(*lines, strict=True) if a != b]
    assert differing == ["priority", "unicast_src_ip", "192.0.2.2"]


def test_the_kernel_passes_on_only_where_it_is_told_to() -> None:
    assert "virtual_server" not in configuration(FIRST)
    reals = ("192.0.2.3:8081", "192.0.2.4:8081")
    text = configuration(replace(FIRST, port=80, reals=reals))
    assert "virtual_server 192.0.2.10 80 {" in text
    assert text.count("real_server") == 2
    assert text.count("{") == text.count("}")
    assert "include" not in text
    kept = configuration(replace(FIRST, include=Path("/etc/keepalived/virtual.conf")))
    assert kept.endswith("\ninclude /etc/keepalived/virtual.conf\n")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"interface": "eth0; rm"}, "--interface: 'eth0; rm' is no name"),
        ({"interface": "a" * 16}, "--interface"),
        ({"vips": ()}, "--vip: at least one"),
        ({"vips": ("192.0.2/24",)}, "--vip: '192.0.2/24' is no ADDRESS"),
        ({"vips": ("192.0.2.2/24",)}, "--vip: 192.0.2.2 is the address of a balancer"),
        ({"vips": ("2001:db8::1/64",)}, "not of the same kind"),
        ({"address": "here"}, "--address: 'here' is no IP address"),
        ({"peers": ("192.0.2.1",)}, "--peer: 192.0.2.1 is this balancer itself"),
        ({"peers": ("2001:db8::2",)}, "--peer: 2001:db8::2 and --address 192.0.2.1"),
        ({"priority": 255}, "--priority: expected 1 to 254, got 255"),
        ({"vrid": 0}, "--vrid: expected 1 to 255"),
        ({"check": "127.0.0.1"}, "--check: '127.0.0.1' is no URL"),
        ({"check": 'http://a/" }'}, "--check"),
        ({"include": Path("lists/x.conf")}, "--include: lists/x.conf is no path"),
        ({"include": Path("/x y")}, "--include: /x y is no path"),
        ({"port": 80}, "--real: --ipvs-port and --real go together"),
        ({"reals": ("192.0.2.3:80",)}, "--ipvs-port and --real go together"),
        ({"port": 80, "reals": ("192.0.2.3",)}, "--real: '192.0.2.3' is no ADDRESS:PORT"),
        ({"port": 80, "reals": ("shop:80",)}, "--real: 'shop' is no IP address"),
    ],
)
def test_wrong_options_are_named(changed: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        replace(FIRST, **changed)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_the_command_writes_the_file_and_leaves_that_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "install keepalived --interface elsewhere0 --vip 192.0.2.10/24 --address 192.0.2.1"
    command = [*words.split(), "--peer=192.0.2.2", f"--root={tmp_path}"]
    assert run_command(command) == 0
    file = tmp_path / CONFIGURATION.relative_to("/")
    assert f"written   {file}" in capsys.readouterr().out
    assert "    priority 100\n" in file.read_text()
    assert run_command([*command, "--priority=x"]) == 2
    assert "see crawler install keepalived --help" in capsys.readouterr().err
    file.write_text("vrrp_instance mine {}\n")
    assert run_command(command) == 5
    assert "move it away first" in capsys.readouterr().err
