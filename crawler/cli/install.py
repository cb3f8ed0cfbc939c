"""`crawler install` and `crawler uninstall`: crawler as a part of a system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crawler.cli import balancers
from crawler.errors import InvalidInput

if TYPE_CHECKING:
    from crawler.ops.files import Done

INSTALL_HELP = "Write what makes crawler, or a door in front of it, a part of this system."
UNINSTALL_HELP = "Remove what install wrote. Settings and data stay."

Root = Annotated[
    Path,
    typer.Option("--root", metavar="DIR", help="below this directory, for a package or an image"),
]


def systemd(
    role: Annotated[
        str,
        typer.Option(
            "--role", metavar="master|worker|all|edge", help="whose units; all: masters and workers"
        ),
    ] = "all",
    program: Annotated[
        Path | None,
        typer.Option("--program", metavar="FILE", help="the crawler to start  [default: this one]"),
    ] = None,
    nginx: Annotated[
        bool, typer.Option("--nginx", help="also have Debian's nginx started anew when it dies")
    ] = False,
    root: Root = Path("/"),
) -> None:
    """Units of systemd for masters, workers, the edge, checked with systemd-analyze.

    One template each for masters and workers: crawler-worker@1 is the worker with --id=1. The edge
    is crawler-edge. Nothing is started.
    """
    from crawler.ops.systemd import install, this_program
    from crawler.ops.units import EDGE, ROLES, SETTINGS

    if role not in (*ROLES, "all", EDGE):
        raise InvalidInput(f"--role {role}: one of {', '.join(ROLES)}, all, {EDGE}", field="role")
    roles = ROLES if role == "all" else (role,)
    _tell(install(root.absolute(), roles, program or this_program(), with_nginx=nginx))
    if role == EDGE:
        print(f"next: write {SETTINGS / 'edge.toml'}, see crawler install nginx --help; ", end="")
        print("systemctl enable --now crawler-edge")
        return
    names = " ".join(f"crawler-{each}@1" for each in roles)
    print(f"next: edit {SETTINGS / 'crawler.toml'}; systemctl enable --now {names}")


def keepalived(
    interface: Annotated[
        str, typer.Option("--interface", metavar="NAME", help="where the address is to be")
    ],
    vip: Annotated[
        list[str],
        typer.Option("--vip", metavar="ADDRESS/PREFIX", help="the address of both; repeatable"),
    ],
    address: Annotated[
        str, typer.Option("--address", metavar="IP", help="this balancer's own address")
    ],
    peer: Annotated[
        list[str], typer.Option("--peer", metavar="IP", help="the other balancer; repeatable")
    ],
    priority: Annotated[
        int, typer.Option("--priority", metavar="N", help="another one on each, 1 to 254")
    ] = 100,
    vrid: Annotated[
        int, typer.Option("--vrid", metavar="N", help="of this pair alone on its network")
    ] = 51,
    check: Annotated[
        str,
        typer.Option("--check", metavar="URL", help="what the balancer here answers; any answer"),
    ] = "http://127.0.0.1/",
    ipvs_port: Annotated[
        int | None,
        typer.Option("--ipvs-port", metavar="PORT", help="have the kernel pass this port on"),
    ] = None,
    real: Annotated[
        list[str] | None,
        typer.Option("--real", metavar="ADDRESS:PORT", help="to these; repeatable"),
    ] = None,
    include: Annotated[
        Path | None,
        typer.Option("--include", metavar="FILE", help="also go by what crawler edge writes there"),
    ] = None,
    root: Root = Path("/"),
) -> None:
    """One address for two balancers, which moves when one of them dies (VRRP).

    On the first, `crawler install keepalived --interface eth0 --vip 192.0.2.10/24 --address
    192.0.2.1 --peer 192.0.2.2 --priority 150`; on the second the same with --address and --peer
    changed over and another priority. keepalived checks the file; nothing is started.
    """
    from crawler.ops.keepalived import Balancer, install

    balancer = Balancer(
        interface=interface,
        vips=tuple(vip),
        address=address,
        peers=tuple(peer),
        priority=priority,
        vrid=vrid,
        check=check,
        port=ipvs_port,
        reals=tuple(real or ()),
        include=include,
    )
    _tell(install(root.absolute(), balancer))
    print("next: apt-get install keepalived curl; systemctl enable --now keepalived")


def remove_systemd(root: Root = Path("/")) -> None:
    """Stop all masters, workers and the edge of this system, and remove their units."""
    from crawler.ops.systemd import uninstall
    from crawler.ops.units import SETTINGS

    _tell(uninstall(root.absolute()))
    print(f"{SETTINGS} and /var/lib/crawler are as they were: remove them if they are not needed")


def _tell(done: Sequence[tuple[Path, Done]]) -> None:
    for path, what in done:
        print(f"{what:9} {path}")


INSTALL: dict[str, Callable[..., Any]] = {
    **balancers.INSTALL,
    "systemd": systemd,
    "keepalived": keepalived,
}
UNINSTALL: dict[str, Callable[..., Any]] = {"systemd": remove_systemd}
