"""The settings of all kinds of processes, as `crawler.config` knows them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crawler.cli.main import build
from crawler.config import flag_name, variable_name
from crawler.config.table import ROLES, Setting, defaults
from reference.markdown import code, prose, table, value

_SHAPES = {
    str: "text",
    int: "number",
    bool: "true or false",
    tuple: "one or several",
    dict: "table",
}
_HOME = Path("/home/you")  # so that defaults do not tell on which machine this was made

INTRODUCTION = """# Settings

Every setting has one name: `ttl` is `--ttl` as a flag, `CRAWLER_TTL` in the environment and `ttl`
in the TOML file that `--config` names, at the top or in the table of the role (`[master]`,
`[worker]`, `[up]`). A flag wins over a variable, a variable over the file, the table over the
top. These are settings of processes; what a crawl does is said by its [definition](definition.md).
"""


def page(example: Path) -> str:
    """A table for each role, and the commented file."""
    commands: Any = build()
    parts = [INTRODUCTION]
    for role, known in ROLES.items():
        said = {each.name: each.help or "" for each in commands.commands[role].params}
        given = defaults(role, {"XDG_DATA_HOME": str(_HOME / ".local/share")})
        given = {**given, "processes": None}  # one per core, which is different everywhere
        rows = (_row(name, known[name], given, said) for name in sorted(known))
        parts.append(f"## crawler {role}\n\n" + table(_HEADS, rows))
    return "\n".join([*parts, "## A whole file\n", f"```toml\n{example.read_text()}```\n"])


_HEADS = ("setting", "holds", "flag", "variable", "default", "")


def _row(
    name: str, setting: Setting, given: Mapping[str, object], said: Mapping[str, str]
) -> tuple[str, ...]:
    spelled, variable = (
        (flag_name(name) if name in said else "", variable_name(name))
        if setting.kind is not dict
        else ("", "")
    )
    words = re.sub(r" *\[default: .*\]$", "", said.get(name, "")) or "in the file only; see below"
    if setting.kind is not dict and name not in said:
        words = "not a flag: others would read it in the process list"
    default = value(_plain(given.get(name)))
    shape = _SHAPES[setting.kind]
    return code(name), shape, code(spelled), code(variable), default, prose(words)


def _plain(given: object) -> object:
    if isinstance(given, tuple):
        return list(given)
    return os.fspath(given) if isinstance(given, Path) else given
