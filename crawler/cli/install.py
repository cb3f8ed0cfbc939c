"""`crawler install`: files that a machine begins with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli import options
from crawler.errors import Conflict, InvalidInput, Misconfigured

_KINDS = ("nginx", "haproxy")


def install(
    what: Annotated[str, typer.Argument(metavar="nginx|haproxy", help="what is set up")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIR", help="[default: /etc/crawler/WHAT]")
    ] = None,
    http: Annotated[
        str, typer.Option("--http", metavar="IP:PORT", help="where the console and the API are")
    ] = "127.0.0.1:8000",
    grpc: Annotated[
        str, typer.Option("--grpc", metavar="IP:PORT", help="where gRPC is")
    ] = "127.0.0.1:9000",
    etcd: options.Etcd = None,
    force: Annotated[
        bool, typer.Option("--force", help="also where files of these names are there already")
    ] = False,
) -> None:
    """Write a commented configuration to begin with, for a load balancer in front of the masters
    and for `crawler edge`, which keeps its list of masters.
    """
    from crawler.config.checks import endpoints
    from crawler.edge.starting import Wish, haproxy_files, nginx_files

    if what not in _KINDS:
        raise InvalidInput(f"{what!r}: choose one of {', '.join(_KINDS)}", field="what")
    directory = Path(to or f"/etc/crawler/{what}").expanduser().absolute()
    try:
        urls = endpoints(tuple(each.strip() for text in etcd or () for each in text.split(",")))
    except ValueError as error:
        raise InvalidInput(f"--etcd: {error}", field="etcd") from error
    wish = Wish(directory, _listening("--http", http), _listening("--grpc", grpc))
    if urls:
        wish = Wish(directory, wish.http, wish.grpc, urls)
    files = nginx_files(wish) if what == "nginx" else haproxy_files(wish)
    _write(directory, files, force=force)
    print(
        f"wrote {', '.join(str(directory / name) for name in files)}\n"
        f"next: crawler edge --config {directory / 'edge.toml'} --dry-run",
        file=sys.stderr,
    )


def _listening(flag: str, text: str) -> str:
    from crawler.config.checks import listen

    try:
        return str(listen(text))
    except ValueError as error:
        raise InvalidInput(f"{flag}: {error}", field=flag.strip("-")) from error


def _write(directory: Path, files: dict[str, str], *, force: bool) -> None:
    there = [name for name in files if (directory / name).exists()]
    if there and not force:
        raise Conflict(
            f"{', '.join(there)} in {directory}: there already; choose another directory with "
            "--to, or write over them with --force"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise Misconfigured(
            f"cannot write to {directory}: {error.strerror}; choose another directory with --to"
        ) from error
