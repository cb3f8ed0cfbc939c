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
        str, typer.Option("--role", metavar="master|worker|all", help="whose units")
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
    """Units of systemd for masters and workers, checked with systemd-analyze.

    One template each: crawler-worker@1 is the worker with --id=1. Nothing is started.
    """
    from crawler.ops.systemd import install, this_program
    from crawler.ops.units import ROLES, SETTINGS

    if role not in (*ROLES, "all"):
        raise InvalidInput(f"--role {role}: one of {', '.join(ROLES)}, all", field="role")
    roles = ROLES if role == "all" else (role,)
    _tell(install(root.absolute(), roles, program or this_program(), with_nginx=nginx))
    names = " ".join(f"crawler-{each}@1" for each in roles)
    print(f"next: edit {SETTINGS / 'crawler.toml'}; systemctl enable --now {names}")


def remove_systemd(root: Root = Path("/")) -> None:
    """Stop all masters and workers of this system, and remove their units."""
    from crawler.ops.systemd import uninstall
    from crawler.ops.units import SETTINGS

    _tell(uninstall(root.absolute()))
    print(f"{SETTINGS} and /var/lib/crawler are as they were: remove them if they are not needed")


def _tell(done: Sequence[tuple[Path, Done]]) -> None:
    for path, what in done:
        print(f"{what:9} {path}")


INSTALL: dict[str, Callable[..., Any]] = {**balancers.INSTALL, "systemd": systemd}
UNINSTALL: dict[str, Callable[..., Any]] = {"systemd": remove_systemd}
