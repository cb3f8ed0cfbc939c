"""keepalived: virtual servers of the kernel (IPVS), in a file that its configuration includes.

Nobody can be asked which list it goes by. After a reload it is looked at from outside: that it took
the signal, and that it and its processes outlive that.
"""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from crawler.clock import Clock
from crawler.edge.commands import run_command
from crawler.edge.files import told
from crawler.edge.members import Backends, Member, Pools, read_address
from crawler.edge.settings import KeepalivedTarget
from crawler.edge.target import Applied, Live
from crawler.errors import OutOfStep

_NAME = "keepalived"
# It ends within this where a reload kills it: a child that cannot go on takes the parent along.
_SETTLE_S = 1.0
_LOOK_S = 0.05
_INCLUDE = re.compile(r"^[ \t]*include[ \t]+(?P<what>\S+)[^\n]*$", re.MULTILINE)
# Where scripts are not root's, 2.2.7 takes its own test run for an orphan and ends it.
_AS_ROOT = "\nglobal_defs {\n    script_user root\n}\n"


class Keepalived:
    """A `Balancer`. ``proc``: where proc(5) is."""

    def __init__(
        self, name: str, settings: KeepalivedTarget, clock: Clock, proc: Path = Path("/proc")
    ) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._proc = proc

    def render(self, pools: Pools) -> bytes:
        settings = self._settings
        bodies = [
            _virtual_server(name, pools[name], settings.virtual[name], settings)
            for name in sorted(settings.virtual)
        ]
        head = f"# Written by crawler edge (target {self._name}); what is changed here is lost.\n"
        return (head + "".join(f"\n{each}" for each in bodies)).encode()

    async def check(self, staged: Path) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="crawler-edge-") as folder, told("cannot check"):
            main = stand_in(settings.main, settings.file, staged, Path(folder))
            command = (settings.program, "--config-test", "--log-console", f"--use-file={main}")
            await run_command(command, settings.timeout_s)

    async def take(self, content: bytes) -> Applied:
        del content
        pid = self._running()
        if pid is None:
            raise OutOfStep(f"no {_NAME} runs that wrote {self._settings.pidfile}")
        everybody = (pid, *self._children(pid))
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            raise OutOfStep(f"cannot signal {_NAME} ({pid}): {error.strerror}") from error
        await self._until(
            lambda: not any(self._is_told(each) for each in everybody),
            f"{_NAME} ({pid}) does not take its signal; it hangs",
        )
        # What speaks VRRP or checks servers may come or go with a reload, but not soon after.
        await self._outlives(pid, lambda: ())
        await self._outlives(pid, lambda: self._children(pid))
        return Applied.RELOADED

    async def state(self, content: bytes) -> Live:
        del content
        return Live.DOWN if self._running() is None else Live.UNKNOWN

    async def tidy(self) -> float | None:
        return None

    async def _outlives(self, pid: int, children: Callable[[], tuple[int, ...]]) -> None:
        """Return when it did. Raises `OutOfStep` as soon as it, or one of these, is gone."""
        before, until = children(), self._clock.elapsed() + _SETTLE_S / 2
        while self._clock.elapsed() < until:
            if self._running() != pid or set(before) - set(children()):
                raise OutOfStep(f"the reload ended {_NAME}, or a process of its; see its log")
            await self._clock.sleep(_LOOK_S)

    async def _until(self, seen: Callable[[], bool], otherwise: str) -> None:
        until = self._clock.elapsed() + self._settings.verify_s
        while not seen():
            if self._clock.elapsed() >= until:
                raise OutOfStep(otherwise)
            await self._clock.sleep(_LOOK_S)

    def _running(self) -> int | None:
        """The parent's pid; a file may outlive whoever wrote it, and its pid be another's."""
        try:
            pid = int(self._settings.pidfile.read_text("ascii"))
            name = self._proc.joinpath(str(pid), "comm").read_text()
        except (OSError, ValueError):
            return None
        return pid if pid > 1 and name.strip() == _NAME else None

    def _children(self, pid: int) -> tuple[int, ...]:
        """Those that speak VRRP, check servers and so on; without the scripts that they run."""
        task = self._proc / str(pid) / "task" / str(pid) / "children"
        try:
            pids = [int(each) for each in task.read_text().split()]
        except OSError:
            return ()
        return tuple(each for each in sorted(pids) if self._name_of(each) == _NAME)

    def _name_of(self, pid: int) -> str:
        try:
            return self._proc.joinpath(str(pid), "comm").read_text().strip()
        except OSError:
            return ""

    def _is_told(self, pid: int) -> bool:
        """Whether it has a SIGHUP that it did not take yet; see ShdPnd in proc(5)."""
        try:
            text = self._proc.joinpath(str(pid), "status").read_text()
        except OSError:
            return False
        found = re.search(r"^ShdPnd:\s*([0-9a-f]+)$", text, re.MULTILINE)
        return found is not None and bool(int(found[1], 16) & 1 << (signal.SIGHUP - 1))


def _virtual_server(name: str, backends: Backends, place: str, settings: KeepalivedTarget) -> str:
    """The pool; a comment where it has nobody, as keepalived takes no virtual server without."""
    where = read_address(place)
    assert where is not None, "checked by the settings"
    if not backends.members:
        return f"# Nobody is in {name}.\n"
    host, port = where
    members = "".join(
        _real_server(backends, each, host, port, settings) for each in backends.members
    )
    return (
        f"# {name}\nvirtual_server {host} {port} {{\n    delay_loop 1\n"
        f"    lb_algo {settings.scheduler}\n    lb_kind {settings.method}\n    protocol TCP\n"
        f"{members}}}\n"
    )


def _real_server(
    backends: Backends, member: Member, host: str, port: int, settings: KeepalivedTarget
) -> str:
    if ipaddress.ip_address(member.host).version != ipaddress.ip_address(host).version:
        raise OutOfStep(f"{member.id}: {member.host} and {host} are not of the same kind")
    if settings.method != "NAT" and member.port != port:
        raise OutOfStep(
            f"{member.id}: it serves at port {member.port}, and {settings.method} passes on to "
            f"{port} as it came; use NAT, or the same port"
        )
    weight = 0 if backends.resting(member) else 1
    return (
        f"    real_server {member.host} {member.port} {{  # {member.id}\n"
        f"        weight {weight}\n{_checker(backends, member)}    }}\n"
    )


def _checker(backends: Backends, member: Member) -> str:
    """By HTTP where members speak it in clear."""
    path, _ = backends.pool.health
    place = f"            connect_port {member.check_port}\n" if member.check_port else ""
    if not path or backends.pool.tls_ca is not None:
        return f"        TCP_CHECK {{\n{place}            connect_timeout 1\n        }}\n"
    return (
        "        HTTP_GET {\n            url {\n"
        f"                path {path}\n                status_code 200\n            }}\n{place}"
        "            connect_timeout 1\n            retry 1\n            delay_before_retry 1\n"
        "        }\n"
    )


def stand_in(main: Path, file: Path, staged: Path, folder: Path) -> Path:
    """A copy of the configuration that includes ``staged`` where the real one includes ``file``,
    in ``folder``. Raises `OutOfStep` where it does not include it itself."""
    for each in main.parent.iterdir():  # relative names are relative to the main file's directory
        (folder / each.name).symlink_to(each)
    found = False

    def redirect(match: re.Match[str]) -> str:
        nonlocal found
        names = list(_matching(main.parent, match["what"].strip("\"'"), file.resolve()))
        if file.resolve() not in names:
            return match[0]
        found = True
        return "\n".join(f"include {staged if n == file.resolve() else n}" for n in names)

    text = main.read_text(encoding="utf-8", errors="surrogateescape")
    text = _INCLUDE.sub(redirect, text)
    if not found:
        raise OutOfStep(f"{main} does not include {file}; put `include {file}` at its end")
    copy = folder / main.name
    copy.unlink(missing_ok=True)
    copy.write_text(text + _AS_ROOT, encoding="utf-8", errors="surrogateescape")
    return copy


def _matching(root: Path, pattern: str, file: Path) -> Iterator[Path]:
    """What an include means, in order; the file that is kept even before it is there."""
    whole = Path(root, pattern)
    found = {each.resolve() for each in whole.parent.glob(whole.name)}
    if fnmatchcase(file.name, whole.name) and whole.parent.resolve() == file.parent:
        found.add(file)
    return iter(sorted(found))
