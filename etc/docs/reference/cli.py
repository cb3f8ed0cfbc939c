"""The commands, as typer knows them."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from crawler.cli import exits
from crawler.cli.main import HELP, build
from reference.markdown import code, prose, table


def page() -> str:
    """All commands, in the order of ``crawler --help``."""
    group: Any = build()
    return "\n".join([
        "# Commands\n",
        f"{prose(HELP)}\n",
        "## Exit codes\n",
        table(("code", ""), _exit_codes()),
        *(part for name, command in group.commands.items() for part in _commands(name, command)),
    ])  # fmt: skip


def _commands(name: str, command: Any) -> Iterator[str]:
    """It, or what it consists of: crawler install nginx."""
    for member, each in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {member}", each)
    if not hasattr(command, "commands"):
        yield from _command(name, command)


def _exit_codes() -> Iterator[tuple[str, str]]:
    for line in exits.TABLE.splitlines()[2:]:
        number, _, meaning = line.partition(" ")
        yield code(number), prose(meaning)


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"## crawler {name}\n"
    yield prose(cleandoc(command.help)) + "\n"
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    if arguments:
        rows = ((code(each.metavar or each.name), prose(each.help or "")) for each in arguments)
        yield table(("argument", ""), rows)
    if options:
        yield table(("option", ""), map(_option, options))


def _option(option: Any) -> tuple[str, str]:
    spelled = ", ".join(option.opts + option.secondary_opts)
    shown = f"{spelled} {option.metavar or ''}".strip()
    said = [prose(option.help or "")]
    if option.envvar:
        said.append(f"variable {code(option.envvar)}")
    if option.default not in (None, False, ()) and not callable(option.default):
        said.append(f"default {code(str(option.default))}")
    return code(shown), "; ".join(filter(None, said))
