"""`crawler install nginx` and `crawler install haproxy`: what a load balancer begins with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crawler.cli import options
from crawler.errors import Conflict, InvalidInput, Misconfigured

if TYPE_CHECKING:
    from crawler.edge.starting import Wish

To = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="where the files go  [default: below /etc/crawler]"),
]
Http = Annotated[
    str, typer.Option("--http", metavar="IP:PORT", help="where the console and the API are")
]
Grpc = Annotated[str, typer.Option("--grpc", metavar="IP:PORT", help="where gRPC is")]
Tls = Annotated[
    Path | None,
    typer.Option(
        "--tls", metavar="DIR", help="with ca.pem, entry.pem, entry.key: masters have certificates"
    ),
]
Force = Annotated[bool, typer.Option("--force", help="also over files that are there already")]


def _command(kind: str, main: str) -> Callable[..., None]:
    """The command that writes the files of that load balancer; ``main``: its own."""

    def command(
        to: To = None,
        http: Http = "127.0.0.1:8000",
        grpc: Grpc = "127.0.0.1:9000",
        etcd: options.Etcd = None,
        tls: Tls = None,
        force: Force = False,
    ) -> None:
        from crawler.edge.starting import FILES

        wish = _wish(to, kind, http, grpc, etcd, tls)
        _write(wish.directory, FILES[kind](wish), force=force)

    command.__name__ = kind
    command.__doc__ = (
        f"A commented {main} in front of the masters, and what `crawler edge` keeps it in step by."
        "\n\nNothing is started."
    )
    return command


INSTALL: dict[str, Callable[..., None]] = {
    kind: _command(kind, main)
    for kind, main in (("nginx", "nginx.conf"), ("haproxy", "haproxy.cfg"))
}


def _wish(
    to: Path | None,
    what: str,
    http: str,
    grpc: str,
    etcd: list[str] | None,
    tls: Path | None,
) -> Wish:
    from crawler.config.checks import endpoints
    from crawler.edge.starting import Wish

    wish = Wish(
        _plain("to", to or Path("/etc/crawler") / what),
        _listening("http", http),
        _listening("grpc", grpc),
        tls=_plain("tls", tls) if tls is not None else None,
    )
    texts = tuple(each.strip() for text in etcd or () for each in text.split(",") if each.strip())
    try:
        return replace(wish, etcd=endpoints(texts)) if texts else wish
    except ValueError as error:
        raise InvalidInput(f"--etcd: {error}", field="etcd") from error


def _plain(name: str, path: Path) -> Path:
    from crawler.edge.settings import plain_path

    try:
        return plain_path(path)
    except ValueError as error:
        raise InvalidInput(f"--{name}: {str(path)!r} {error}", field=name) from error


def _listening(name: str, text: str) -> str:
    from crawler.config.checks import listen

    try:
        return str(listen(text))
    except ValueError as error:
        raise InvalidInput(f"--{name}: {error}", field=name) from error


def _write(directory: Path, files: Mapping[str, str], *, force: bool) -> None:
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
    print("wrote", ", ".join(str(directory / name) for name in files), file=sys.stderr)
    print(f"next: crawler edge --config {directory / 'edge.toml'} --dry-run", file=sys.stderr)
