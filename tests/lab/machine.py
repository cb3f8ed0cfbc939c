"""A machine with a systemd of its own: a container that begins with nothing but this one's /usr.

systemd-nspawn(1) boots it (``--volatile=yes``): /etc and /var are empty and gone afterwards, the
network is a loopback of its own, and neither D-Bus nor this machine's systemd takes part. What it
needs is root in the sense of CAP_SYS_ADMIN, and to be allowed to mount; without these it says so.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

START_LIMIT_S = 40.0
CALL_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
PROGRAM = "/opt/crawler/bin/crawler"
PYTHON = "/opt/crawler/bin/python"
_PATH = "/usr/sbin:/usr/bin"


class Machine:
    """A context. ``binds``: more directories of ours, to where they are seen there, read only. The
    command of this checkout is at `PROGRAM` there, a Python that has its packages at `PYTHON`."""

    def __init__(self, binds: Mapping[Path, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self._folder.chmod(0o755)
        self._binds = {**crawler_for(self._folder / "opt"), **(binds or {})}
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Self:
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the power; idempotent."""
        if self._nspawn is not None:
            if self._init and self._nspawn.poll() is None:
                with suppress(ProcessLookupError):  # it ended just now
                    os.kill(self._init, signal.SIGKILL)  # and with it all that runs there
            try:
                self._nspawn.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(STOP_LIMIT_S)
            self._nspawn = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *arguments: str, text: str = "", timeout_s: float = CALL_LIMIT_S) -> str:
        """Run a command there, as root, to its end; its output. A failure raises with its words."""
        done = self._call(*arguments, text=text, timeout_s=timeout_s)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """A file there."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, text=text)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def journal(self, unit: str) -> str:
        """What a unit wrote, and what systemd says of it."""
        return self.run("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={unit}")

    def wait(self, seen: Callable[[], bool], what: str, timeout_s: float) -> float:
        """Ask until it is so; how many seconds that took."""
        began = time.monotonic()
        while not seen():
            if time.monotonic() - began > timeout_s:
                raise AssertionError(f"no {what} within {timeout_s:g} s")
            time.sleep(0.1)
        return time.monotonic() - began

    def _call(
        self, *arguments: str, text: str = "", timeout_s: float = CALL_LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        inside = [f"--target={self._init}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        return subprocess.run(
            ["nsenter", *inside, "--", "env", "-i", f"PATH={_PATH}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _boot(self) -> None:
        binds = [f"--bind-ro={ours}:{there}" for ours, there in self._binds.items()]
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            "systemd-nspawn",
            "--quiet",
            "--directory=/",
            "--volatile=yes",
            "--boot",
        ]
        command += ["--register=no", "--keep-unit", "--private-network", "--console=pipe"]
        command += [f"--machine=crawler-{os.getpid()}-{time.monotonic_ns() % 10**6}", *binds]
        command += ["--link-journal=no", "--resolv-conf=off", "--timezone=off"]
        log = self._folder / "console"
        with log.open("wb") as output:
            self._nspawn = subprocess.Popen(
                # Nothing that this machine would start: the tests say what runs there.
                [*command, "--", "--unit=basic.target"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while not self._up():
            if self._nspawn.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    "no systemd in a container here: this test needs root with CAP_SYS_ADMIN, "
                    "the right to mount, and systemd-container from apt. systemd-nspawn said:\n"
                    + log.read_text(errors="replace")[-3000:]
                )
            time.sleep(0.1)
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        # Nothing is to come but the loopback, which is there.
        self.run("systemctl", "mask", "--runtime", "systemd-networkd-wait-online.service")

    def _up(self) -> bool:
        assert self._nspawn is not None
        if not self._init:
            self._init = _first_of(self._nspawn.pid)
        if not self._init:
            return False
        done = self._call("systemctl", "is-active", "basic.target")
        return done.stdout.strip() == "active"


def _first_of(pid: int) -> int:
    """The child of nspawn that is process 1 in the container; 0 while there is none. The child
    that it has before that one makes the container, and ends."""
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE):
                return int(child)
    except OSError:
        pass  # one that ended just now
    return 0


def crawler_for(folder: Path) -> dict[Path, str]:
    """What makes the command of this checkout run where only /usr is ours: directories, to where
    they belong there. Interpreter and packages may be in somebody's home, which services are not
    shown, so all of them move to /opt."""
    python = Path(sys.base_prefix)
    binds: dict[Path, str] = {}
    if not python.is_relative_to("/usr"):
        binds[python] = "/opt/python"
        python = Path("/opt/python")
    paths = []
    root = str(Path(__file__).parents[2])
    for number, entry in enumerate(dict.fromkeys([root, *sys.path])):
        place = Path(entry).absolute()
        if not place.is_dir() or place.is_relative_to(sys.base_prefix):
            continue
        there = f"/opt/path/{number}"
        binds[place] = there
        paths.append(there)
    programs = folder / "bin"
    programs.mkdir(parents=True)
    interpreter = python / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name, words in (("crawler", "-m crawler "), ("python", "")):
        (programs / name).write_text(
            f"#!/bin/sh\nexport PYTHONPATH={':'.join(paths)} PYTHONDONTWRITEBYTECODE=1\n"
            f"export LD_LIBRARY_PATH={python}/lib\n"
            f'exec {interpreter} {words}"$@"\n'
        )
    for each in (folder, programs, *programs.iterdir()):
        each.chmod(0o755)
    return {**binds, folder: str(Path(PROGRAM).parents[1])}
