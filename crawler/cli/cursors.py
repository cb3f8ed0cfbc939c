"""Where an export goes on from: a cursor that is given, or a file that remembers the last one."""

from __future__ import annotations

import os
from pathlib import Path

from crawler.errors import InvalidInput

_MAX_CHARS = 100


def read(since: str | None, file: str | None) -> str:
    """The cursor to go on from; "" for the first time. Raises `InvalidInput`."""
    if since is not None and file is not None:
        raise InvalidInput("--since and --since-last exclude each other; give one of them")
    if file is None:
        return since or ""
    try:
        with Path(file).open(encoding="ascii") as kept:
            return kept.read(_MAX_CHARS).strip()
    except FileNotFoundError:
        if not Path(file).parent.is_dir():
            raise InvalidInput(f"--since-last {file}: there is no such directory") from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--since-last {file}: cannot be read: {error}") from error


def keep(file: str, cursor: str) -> None:
    """Remember it, once what it stands behind is in safety. Raises `InvalidInput`."""
    from crawler.cli.formats import put_in_place

    goal = Path(file)
    draft = goal.with_name(f".{goal.name}.{os.getpid()}.part")
    try:
        draft.write_text(cursor + "\n", "ascii")
        put_in_place(draft, goal)
    except OSError as error:
        raise InvalidInput(f"--since-last {file}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
