"""Reads the named SQL statements of a backend, so that each is written down once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: (?P<name>[a-z_]+)$", re.MULTILINE)


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


def migrations(backend: str) -> Mapping[int, str]:
    """The scripts that bring an older database forward, by the version each one reaches."""
    found = (folder(backend) / "migrations").iterdir()
    scripts = {int(each.name[:4]): each.read_text("utf-8") for each in found}
    return dict(sorted(scripts.items()))


def _bare(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
