"""An etcd of our own: found, judged, started on loopback, kept alive.

Only for one machine. Its data survives restarts; a production cluster has etcd of its own.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import aiohttp
import structlog

from crawler.clock import Clock
from crawler.coordination.versions import Fitness, Version, judge
from crawler.errors import Misconfigured, Unavailable
from crawler.local.ports import PortBook
from crawler.local.process import Kept, last_line

log = structlog.get_logger(__name__)

_INSTALL = {
    "debian": "sudo apt-get install --no-install-recommends etcd-server",
    "fedora": "sudo dnf install etcd",
    "suse": "sudo zypper install etcd",
    "alpine": "sudo apk add etcd",
    "darwin": "brew install etcd",
}
_RELEASES = "https://github.com/etcd-io/etcd/releases"
_START_S = 30.0


def install_line(system: str, os_release: Mapping[str, str]) -> str:
    """How to get etcd here: the command for this system, or where releases are."""
    families = [system.lower(), os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    alias = {"ubuntu": "debian", "rhel": "fedora", "centos": "fedora", "opensuse": "suse"}
    for family in families:
        if command := _INSTALL.get(alias.get(family, family)):
            return command
    return f"put the program etcd from {_RELEASES} on the PATH"


def _os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


@dataclass(frozen=True, slots=True)
class Program:
    """An etcd that may be started."""

    path: str
    version: Version


async def find_etcd(search_path: str | None = None) -> Program:
    """The `etcd` on the PATH. Raises `Misconfigured`, with what to install, if none is fit."""
    line = install_line(platform.system(), _os_release())
    path = shutil.which("etcd", path=search_path)
    if path is None:
        raise Misconfigured(
            f"etcd is not installed. Install it with\n    {line}\n"
            "or use the one you have: --etcd http://HOST:2379"
        )
    version = await _ask_version(path)
    fitness, reason = judge(version)
    if fitness is Fitness.UNFIT:
        raise Misconfigured(f"{path}: {reason}\n    {line}")
    if fitness is Fitness.OLD:
        log.warning("old etcd", path=path, reason=reason)
    return Program(path, version)


async def _ask_version(path: str) -> Version:
    try:
        asked = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
        )  # fmt: skip
        async with asyncio.timeout(10):
            said, _ = await asked.communicate()
    except (OSError, TimeoutError) as error:
        raise Misconfigured(f"{path} --version does not answer: {error}") from error
    match = re.search(rb"etcd Version: (\d+)\.(\d+)\.(\d+)", said)
    if match is None:
        raise Misconfigured(f"{path} --version says nothing that looks like etcd")
    return int(match[1]), int(match[2]), int(match[3])


def _environment() -> dict[str, str]:
    """Ours without etcd's own variables, which would change what we start."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
    if platform.machine() == "aarch64":  # 3.4 refuses to run there without being asked
        environ["ETCD_UNSUPPORTED_ARCH"] = "arm64"
    return environ


def _arguments(data: Path, client: str, peer: str) -> list[str]:
    return [
        "--name=crawler",
        f"--data-dir={data / 'member'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=crawler={peer}",
        "--pre-vote=true",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        "--logger=zap",
        "--log-outputs=stderr",
    ]


class EtcdChild:
    """One etcd member on loopback with its data below ``data``; `url` is where it answers.

    The ports stay the same over restarts, so that masters and workers find it again.
    """

    def __init__(
        self, program: Program, data: Path, ports: PortBook, log_path: Path, clock: Clock
    ) -> None:
        self.url = f"http://127.0.0.1:{ports.take('etcd client')}"
        peer = f"http://127.0.0.1:{ports.take('etcd peer')}"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = clock
        # SIGKILL when its keeper dies: it has nothing to give back, and its log is on disk.
        self.kept = Kept(
            "etcd", [program.path, *_arguments(data, self.url, peer)], log_path, clock,
            environ=_environment(), death=signal.SIGKILL,
        )  # fmt: skip

    async def start(self) -> None:
        """Start it and wait until it answers. Raises `Unavailable` with its last words if not."""
        await self.kept.start()
        deadline = self._clock.elapsed() + _START_S
        while not await self.answers():
            if self.kept.pid is None or self._clock.elapsed() > deadline:
                await self.kept.stop(1.0)
                words = last_line(self.kept.log_path)
                raise Unavailable(f"etcd does not start ({self.kept.log_path}): {words[:400]}")
            await self._clock.sleep(0.05)

    async def answers(self) -> bool:
        """Whether it is healthy now."""
        limit = aiohttp.ClientTimeout(total=2.0)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as http,
                http.get(f"{self.url}/health") as answer,
            ):
                return answer.status == 200 and b'"true"' in await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def watch(self) -> NoReturn:
        """Restart it whenever it dies."""
        await self.kept.watch()

    async def stop(self) -> None:
        """Stop it cleanly."""
        await self.kept.stop(5.0)
