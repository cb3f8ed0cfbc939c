"""The command `crawler`: which commands there are, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, NoReturn

import typer

from crawler import __version__
from crawler.cli import (
    apply,
    backup,
    certs,
    check,
    demo,
    doctor,
    drain,
    edge,
    events,
    exits,
    install,
    items,
    logs,
    ls,
    master,
    new,
    nodes,
    pages,
    retry,
    rm,
    run,
    runs,
    shell,
    show,
    stats,
    token,
    top,
    try_page,
    up,
    wishes,
    worker,
)
from crawler.errors import CrawlerError

HELP = """A distributed crawler that survives.

Start with `crawler up` in one terminal and `crawler apply https://example.org/` in another, or
without a cluster: `crawler run https://example.org/ -o items.jsonl`."""

# In the order in which a newcomer meets them.
_COMMANDS: dict[str, Callable[..., Any]] = {
    "up": up.up,
    "master": master.master,
    "worker": worker.worker,
    "demo": demo.demo,
    "apply": apply.apply,
    "ls": ls.ls,
    "show": show.show,
    "rm": rm.rm,
    "pause": wishes.pause,
    "resume": wishes.resume,
    "stop": wishes.stop,
    "start": wishes.start,
    "retry": retry.retry,
    "items": items.items,
    "pages": pages.pages,
    "runs": runs.runs,
    "stats": stats.stats,
    "events": events.events,
    "logs": logs.logs,
    "top": top.top,
    "nodes": nodes.nodes,
    "doctor": doctor.doctor,
    "backup": backup.backup,
    "restore": backup.restore,
    "token": token.token,
    "certs": certs.certs,
    "drain": drain.drain,
    "edge": edge.edge,
    "run": run.run,
    "try": try_page.try_page,
    "shell": shell.shell,
    "check": check.check,
    "new": new.new,
}

# Commands that say what else to do: crawler install nginx.
_GROUPS: dict[str, tuple[str, dict[str, Callable[..., Any]]]] = {
    "install": (install.INSTALL_HELP, install.INSTALL),
    "uninstall": (install.UNINSTALL_HELP, install.UNINSTALL),
}


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"crawler {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")
    ] = False,
) -> None:
    """Options before any command."""


@cache
def build(only: str | None = None) -> Callable[..., Any]:
    """The command with all its subcommands, or with the ``only`` one that is asked for: to work
    out what options each of them has takes longer than most of them run."""
    commands = typer.Typer(
        name="crawler",
        help=HELP,
        epilog=exits.TABLE,
        callback=_options,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    for name, command in _COMMANDS.items():
        if only is None or name == only:
            commands.command(name)(command)
    for name, (said, members) in _GROUPS.items():
        if only is None or name == only:
            group = typer.Typer(name=name, help=said, rich_markup_mode=None)
            for member, command in members.items():
                group.command(member)(command)
            commands.add_typer(group)
    return typer.main.get_command(commands)


def _spoken(arguments: Sequence[str]) -> str:
    """The command that was meant, with a blank behind each word."""
    first = next((word for word in arguments if word in _COMMANDS or word in _GROUPS), "")
    _, members = _GROUPS.get(first, ("", {}))
    second = next((word for word in arguments if word in members), "")
    return "".join(f"{word} " for word in (first, second) if word)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; a failure of ours is one line on stderr."""
    first = arguments[0] if arguments else ""
    if not arguments or (first in _GROUPS and len(arguments) == 1):
        arguments = [*arguments, "--help"]
    try:
        code = build(first if first in {*_COMMANDS, *_GROUPS} else None)(
            args=list(arguments), prog_name="crawler", standalone_mode=False
        )
    except typer.TyperException as error:
        words = _spoken(arguments)
        print(f"crawler: {error.format_message()} (see crawler {words}--help)", file=sys.stderr)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except SystemExit:  # typer's answer to EPIPE: whoever read our output has enough
        return exits.BROKEN_PIPE
    except (CrawlerError, BaseExceptionGroup) as error:
        ours = exits.first_of_ours(error)
        if ours is None:
            raise
        print(exits.line_of(ours), file=sys.stderr)
        return exits.code_of(ours)
    return code if isinstance(code, int) else exits.OK


def main() -> NoReturn:
    """The entry point."""
    code = run_command(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the interpreter must not try to flush it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exits.BROKEN_PIPE
    sys.exit(code)
