"""Reads the named SQL statements of a backend, so that each is written down once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from crawler.store.versions import Migration

_NAME = re.compile(r"^-- name: (?P<name>[a-z_]+)$", re.MULTILINE)
_SINCE = re.compile(r"^-- Programs that know schema (\d+) can use it\.$", re.MULTILINE)


def folder(backend: str) -> Traversable:
    """The directory that holds a backend's SQL."""
    return files("crawler.store") / "sql" / backend


def statements(backend: str, subject: str) -> Mapping[str, str]:
    """The statements of ``sql/<backend>/<subject>.sql`` by the name in ``-- name: ...``."""
    text = (folder(backend) / f"{subject}.sql").read_text("utf-8")
    _, *pieces = _NAME.split(text)
    return {name: _bare(body) for name, body in zip(pieces[::2], pieces[1::2], strict=True)}


def schema(backend: str) -> str:
    """The script that makes a new database."""
    return (folder(backend) / "schema.sql").read_text("utf-8")


def migrations(backend: str) -> Mapping[int, Migration]:
    """What brings an older database forward, by the version each one reaches."""
    found = (folder(backend) / "migrations").iterdir()
    read = {int(each.name[:4]): _migration(each) for each in found}
    return dict(sorted(read.items()))


def _migration(file: Traversable) -> Migration:
    script = file.read_text("utf-8")
    said = _SINCE.search(script)
    if said is None:
        raise ValueError(f"{file.name} does not say which programs can use what it makes")
    return Migration(script, int(said[1]))


def _bare(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
