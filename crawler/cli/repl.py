"""Python asked for line by line, or run as it comes through a pipe."""

from __future__ import annotations

import ast
import code
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import print_exception
from types import CodeType
from typing import Any, Final

import typer

from crawler.cli import exits
from crawler.errors import CrawlerError, InvalidInput

_HISTORY: Final = 1_000  # lines


def run_script(text: str, names: dict[str, Any]) -> None:
    """Run it, and print the value of each expression that is a line of its own, as typing it would.

    Raises `InvalidInput` for what is no Python, before any of it is run, and what it raises.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError) as error:  # the latter: null bytes
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
        raise InvalidInput(f"code: {line}{getattr(error, 'msg', error)}") from error
    with _ending():
        for each in statements:
            _run(compile(ast.Interactive([each]), "<code>", "single"), names)


def _run(statement: CodeType, names: dict[str, Any]) -> None:
    try:
        exec(statement, names)  # noqa: S102  # it is the user's own
    except (CrawlerError, BrokenPipeError):
        raise
    except Exception as error:
        traceback = error.__traceback__
        print_exception(error.with_traceback(traceback.tb_next if traceback else None))
        raise typer.Exit(exits.FAILED) from error


def interact(names: dict[str, Any], greeting: str, history: Path) -> None:
    """Ask until the end of input: in IPython where that is installed, otherwise in Python's own
    console, with what was typed kept in the file ``history``."""
    try:
        from IPython.terminal.interactiveshell import TerminalInteractiveShell
    except ImportError:
        with _ending(), _line_editing(names, history):
            _Console(names).interact(greeting, "")
        return
    shell: Any = TerminalInteractiveShell.instance(
        user_ns=names, banner1=f"{greeting}\n", banner2="", enable_tip=False, confirm_exit=False
    )
    shell.set_custom_exc((CrawlerError,), _tell)
    shell.show_banner()
    shell.mainloop()


@contextmanager
def _ending() -> Iterator[None]:
    """``exit()`` ends the command, and with its code."""
    try:
        yield
    except SystemExit as error:
        if error.code is None:
            return
        if not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
        raise typer.Exit(error.code if isinstance(error.code, int) else exits.FAILED) from error


class _Console(code.InteractiveConsole):
    """Says what failed for a reason that is not the program's in one line."""

    def showtraceback(self) -> None:
        error = sys.exception()
        if isinstance(error, CrawlerError):
            self.write(f"{exits.line_of(error)}\n")
        elif isinstance(error, KeyboardInterrupt):  # where it came is of no interest
            self.write("KeyboardInterrupt\n")
        else:
            super().showtraceback()


def _tell(_shell: Any, _kind: type, error: CrawlerError, _trace: Any, **_more: Any) -> None:
    """The same for IPython."""
    print(exits.line_of(error), file=sys.stderr)


@contextmanager
def _line_editing(names: dict[str, Any], history: Path) -> Iterator[None]:
    """Keys, completion and history, where this Python has them."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        yield
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    readline.set_history_length(_HISTORY)
    with suppress(OSError):  # there is none yet, or none that can be read
        readline.read_history_file(history)
    try:
        yield
    finally:
        with suppress(OSError):  # a convenience, on a disk that may be full
            history.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(history)
