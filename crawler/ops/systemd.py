"""Puts units into a system and takes them out again; what the services know stays either way."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from crawler.errors import InvalidInput
from crawler.ops.files import Done, File, place, remove
from crawler.ops.programs import run_program
from crawler.ops.units import EDGE, ROLES, all_files, has_nodes, unit, unit_name

_HIDDEN = ("/home", "/root", "/run/user")  # from services: ProtectHome


def install(
    root: Path, roles: Sequence[str], program: Path, *, with_nginx: bool
) -> list[tuple[Path, Done]]:
    """Check the units, write them below ``root``, and tell systemd where that is the running
    system. What became of each file.

    Raises `InvalidInput` for a program that services could not start, `Conflict` for files of
    somebody else, and `Misconfigured` where systemd does not take the units.
    """
    _check_program(root, program)
    files = all_files(roles, program, with_nginx=with_nginx)
    _verify(files, program)
    done = place(root, files)
    if _live(root):
        if has_nodes(roles):
            run_program("systemd-sysusers", "crawler.conf")
            run_program("systemd-tmpfiles", "--create", "crawler.conf")
        run_program("systemctl", "daemon-reload")
    return done


def uninstall(root: Path) -> list[tuple[Path, Done]]:
    """Stop and disable all instances, and remove what `install` wrote, whichever roles it was.
    Settings and state are kept."""
    if _live(root):
        for role in (*ROLES, EDGE):
            for name in _instances(role):
                run_program("systemctl", "disable", "--quiet", "--now", name)
    done = remove(root, all_files((*ROLES, EDGE), Path("/"), with_nginx=True))
    if _live(root):
        run_program("systemctl", "daemon-reload")
    return done


def this_program() -> Path:
    """The command that is running, as a service would be told to start it."""
    beside = Path(sys.executable).with_name("crawler")
    found = str(beside) if beside.exists() else shutil.which("crawler")
    if found is None:
        raise InvalidInput("which crawler is to be started? Say it: --program FILE")
    return Path(found)


def _check_program(root: Path, program: Path) -> None:
    if not program.is_absolute():
        raise InvalidInput(f"--program {program}: a path from / on", field="program")
    for needed in _needed(program) if _live(root) else (program,):
        if str(needed).startswith(tuple(f"{each}/" for each in _HIDDEN)):
            raise InvalidInput(
                f"--program {program} needs {needed}, but services see nothing of "
                f"{', '.join(_HIDDEN)}; install crawler into an environment of its own, "
                "/opt/crawler say, and use its command",
                field="program",
            )
    if _live(root) and not os.access(program, os.X_OK):
        raise InvalidInput(f"--program {program}: there is no such program", field="program")


def _needed(program: Path) -> Iterator[Path]:
    """The program, what it leads to, and the interpreter that its first line names."""
    yield from (program, program.resolve())
    try:
        with program.open("rb") as script:
            first = script.readline(1000)
    except OSError:
        return
    if first.startswith(b"#!"):
        yield Path(os.fsdecode(first[2:].split()[0])).resolve()


def _verify(files: Sequence[File], program: Path) -> None:
    """Ask systemd itself about units, before any is where it would be started."""
    if shutil.which("systemd-analyze") is None:
        return  # staged on a machine without it
    with tempfile.TemporaryDirectory(prefix="crawler-units-") as folder:
        for file in files:
            if file.path.suffix != ".service":
                continue
            # Elsewhere the program may be missing, which says nothing of the unit.
            here = program if program.exists() else Path(sys.executable)
            staged = Path(folder, file.path.name)
            staged.write_text(file.text.replace(f"ExecStart={program}", f"ExecStart={here}"))
            run_program("systemd-analyze", "verify", "--man=no", str(staged))


def _instances(role: str) -> list[str]:
    """The names of those that run, failed or are enabled."""
    if not unit(role, Path("/")).path.exists():  # what matches nothing, systemctl calls a failure
        return []
    if role == EDGE:
        return [unit_name(role)]
    pattern = unit_name(role).replace("@", "@*")
    loaded = run_program("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern)
    known = run_program("systemctl", "list-unit-files", "--no-legend", pattern)
    names = {line.split()[0] for line in (loaded + known).splitlines() if line.strip()}
    return sorted(names - {unit_name(role)})


def _live(root: Path) -> bool:
    """Whether ``root`` is the running system's, and systemd runs it (sd_booted(3))."""
    return root == Path("/") and Path("/run/systemd/system").is_dir()
