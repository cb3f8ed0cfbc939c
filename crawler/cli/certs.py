"""`crawler certs`: an authority and certificates of nodes, to try TLS out with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def certs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where the files are, or go")],
    nodes: Annotated[
        list[str],
        typer.Argument(metavar="NAME[=HOST,…]…", help="nodes, and where each of them is reached"),
    ],
) -> None:
    """Make certificates for nodes, and the authority that signs them.

    `crawler certs tls master-1=10.0.0.1,m1.example worker-1=10.0.0.2`; each node then takes
    `--tls-ca tls/ca.pem --tls-cert tls/master-1.pem --tls-key tls/master-1.key`. The same command
    again makes what is missing and leaves the rest.
    """
    from crawler.model import check_name
    from crawler.ops.certificates import make_authority, make_node

    wanted = {}
    for each in nodes:
        name, _, hosts = each.partition("=")
        wanted[check_name(name)] = [host for host in hosts.split(",") if host]
    make_authority(folder)
    for name, reached in wanted.items():
        made = make_node(folder, name, reached)
        print(folder / f"{name}.pem", *(() if made else ("(as it was)",)))
    print(
        f"keep {folder / 'ca.key'} away from the nodes: whoever has it makes more of them",
        file=sys.stderr,
    )
