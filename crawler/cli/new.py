"""`crawler new`: a starter definition or spider from a real page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli import options
from crawler.errors import Conflict, InvalidInput


def new(
    source: Annotated[
        str,
        typer.Argument(
            metavar="URL|NAME", help="a page of the site, best a listing; of a spider its name"
        ),
    ],
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="of a spider the page", show_default=False)
    ] = None,
    spider: Annotated[
        bool, typer.Option("--spider", help="write a spider in Python into NAME.py")
    ] = False,
    allow_private: options.Allow = None,
) -> None:
    """Make a first definition or spider, guessed from one page of a site.

    `crawler new https://shop.example/ > shop.toml`

    `crawler new shop --spider https://shop.example/`
    """
    import uvloop

    from crawler.address import loopback_hosts
    from crawler.app import trial
    from crawler.cli.try_page import host_of
    from crawler.config import read_networks
    from crawler.telemetry import logs

    if url is not None and not spider:
        raise InvalidInput(f"{url}: is one argument too many; --spider writes a spider for it")
    file = _spider_file(source) if spider else None
    page = url if spider else source
    hosts = loopback_hosts([host_of(page)]) if page is not None else ()
    logs.configure("error")
    networks = read_networks(allow_private or ())
    if file is None:
        print(uvloop.run(trial.propose(source, hosts, allow_private=networks)), end="")
        return
    _write(file, uvloop.run(trial.propose_spider(file.stem, url, hosts, allow_private=networks)))
    print(f"{file} is written; crawler run {file} -o items.jsonl crawls by it")


def _spider_file(name: str) -> Path:
    """Where the spider of this name goes. Raises `Conflict` where there is something already."""
    from crawler.app.source import is_url
    from crawler.model import check_name

    if is_url(name):
        raise InvalidInput(
            f"{name}: of a spider the name comes first: crawler new NAME --spider URL"
        )
    file = Path(f"{check_name(name.removesuffix('.py'))}.py")
    if os.path.lexists(file):
        raise _taken(file)
    return file


def _write(file: Path, code: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(code)
    except FileExistsError as error:
        raise _taken(file) from error
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from error


def _taken(file: Path) -> Conflict:
    return Conflict(f"{file}: is there already; choose another name")
