"""Files that are put into a system for it: below a root, atomically, and told apart from those that
somebody else wrote."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crawler.errors import Conflict, Misconfigured

# The first line of a file that we may replace and remove.
MARK = "# Written by crawler install"


class Done(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept"  # a user's, from the moment on that it is there
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class File:
    """``path`` is absolute, as the installed system sees it. ``theirs``: once it is there, it is
    the user's: never replaced and never removed."""

    path: Path
    text: str
    mode: int = 0o644
    theirs: bool = False


def below(root: Path, path: Path) -> Path:
    """Where an absolute path is as long as its system is at ``root``."""
    return root / path.relative_to("/")


def place(root: Path, files: Iterable[File]) -> list[tuple[Path, Done]]:
    """Write them, and tell what became of each.

    Raises `Conflict`, before anything is written, for a file that we did not write.
    """
    wanted = [(below(root, each.path), each) for each in files]
    for path, file in wanted:
        if not file.theirs and path.exists() and not _ours(path):
            raise Conflict(f"{path} was not written by crawler install: move it away first")
    return [(path, _write(path, file)) for path, file in wanted]


def remove(root: Path, files: Iterable[File]) -> list[tuple[Path, Done]]:
    """Remove those that we wrote and may remove; the rest of them that is there is kept."""
    done = []
    for file in files:
        path = below(root, file.path)
        if not path.exists():
            continue
        if file.theirs or not _ours(path):
            done.append((path, Done.KEPT))
            continue
        try:
            path.unlink()
        except OSError as error:
            raise _failed(path, error) from error
        with suppress(OSError):  # of a drop-in's folder: others may have theirs in it
            if path.parent.name.endswith(".service.d"):
                path.parent.rmdir()
        done.append((path, Done.REMOVED))
    return done


def _ours(path: Path) -> bool:
    try:
        return path.read_text("utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False


def _write(path: Path, file: File) -> Done:
    """The whole file or none of it, with its rights from the first moment on."""
    if path.exists() and file.theirs:
        return Done.KEPT
    try:
        if path.exists() and path.read_text("utf-8") == file.text:
            return Done.UNCHANGED
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, staged = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(handle, "w", encoding="utf-8") as target:
                target.write(file.text)
                target.flush()
                os.fchmod(handle, file.mode)
                os.fsync(handle)
            Path(staged).replace(path)
        except BaseException:
            Path(staged).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _failed(path, error) from error
    return Done.WRITTEN


def _failed(path: Path, error: OSError) -> Misconfigured:
    hint = "; run it as root, or with --root DIR" if isinstance(error, PermissionError) else ""
    return Misconfigured(f"{path}: {error.strerror}{hint}")
