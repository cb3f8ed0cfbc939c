"""An entry on loopback: etcd, servers that register, a load balancer as it is shipped, the edge."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp

from crawler.edge.starting import Wish, haproxy_files, nginx_files
from tests.acceptance.cluster import Process, eventually
from tests.etcd_server import EtcdServer
from tests.ports import free_port

TTL_S = 2
BACKEND = "tests.integration.edge.backend"
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def program(name: str) -> str:
    """Where it is installed."""
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is not installed; run `make system`"
    return found


class Stage:
    """What stands behind and around one entry. ``kind``: nginx or haproxy; ``tls``: as `Wish`."""

    def __init__(self, folder: Path, etcd: EtcdServer, kind: str, tls: Path | None = None) -> None:
        self.folder = folder
        self.etcd = etcd
        self.kind = kind
        self.config = folder / "entry"
        self.config.mkdir()
        self.servers: dict[str, Process] = {}
        self.door: Process | None = None
        self.edge: Process | None = None
        self._ports: dict[str, tuple[int, int]] = {}
        self._started: list[Process] = []
        self.http, self.grpc, self.status, self.live = (free_port() for _ in range(4))
        self.url, self.address = f"http://127.0.0.1:{self.http}/", f"127.0.0.1:{self.grpc}"
        wish = Wish(
            self.config,
            f"127.0.0.1:{self.http}",
            f"127.0.0.1:{self.grpc}",
            etcd.endpoints,
            folder / "state",
            f"127.0.0.1:{self.live}",
            folder / "admin.sock",
            tls,
        )
        files = nginx_files(wish) if kind == "nginx" else haproxy_files(wish)
        for name, text in files.items():
            (self.config / name).write_text(self._moved(text))
        self.toml = self.config / "edge.toml"

    @property
    def file(self) -> Path:
        """What the edge writes."""
        return self.config / ("upstreams.conf" if self.kind == "nginx" else "backends.cfg")

    @property
    def main(self) -> Path:
        return self.config / ("nginx.conf" if self.kind == "nginx" else "haproxy.cfg")

    def start_door(self) -> None:
        """The load balancer, with the configuration as it is now."""
        if self.kind == "nginx":
            command = [program("nginx"), "-c", str(self.main), "-g", "daemon off;"]
        else:
            command = [program("haproxy"), "-W", "-f", str(self.main), "-f", str(self.file)]
        self.door = self._start(self.kind, command)
        if self.kind == "haproxy":
            text = self.toml.read_text()
            reload = f'reload = ["kill", "-USR2", "{self.door.pid}"]'
            self.toml.write_text(re.sub(r"reload = .*\]", reload, text))

    def start_edge(self, *options: str) -> None:
        command = [sys.executable, "-m", "crawler", "edge", f"--config={self.toml}", *options]
        self.edge = self._start("edge", command)

    @property
    def edge_pid(self) -> int:
        assert self.edge is not None
        return self.edge.pid

    def edge_dies(self) -> None:
        """kill -9."""
        assert self.edge is not None
        self.edge.kill()

    def edge_once(self, *options: str) -> tuple[int, str]:
        """Run it to its end: exit code, and what it printed."""
        log = self.folder / "once.log"
        log.write_text("")
        command = [sys.executable, "-m", "crawler", "edge", f"--config={self.toml}", *options]
        return Process("once", command, log).wait(30.0), log.read_text()

    def start_server(self, name: str) -> None:
        """A server of that name; the same ports every time."""
        http, grpc = self._ports.setdefault(name, (free_port(), free_port()))
        arguments = [name, str(http), str(grpc), str(TTL_S), ",".join(self.etcd.endpoints)]
        command = [sys.executable, "-m", BACKEND, *arguments]
        self.servers[name] = self._start(f"server-{name}", command)

    def end_server(self, name: str) -> None:
        """SIGTERM, and wait for the end."""
        process = self.servers[name]
        process.terminate()
        deadline = time.monotonic() + 20
        while process.running and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not process.running, name

    async def registered(self, *names: str) -> None:
        """Wait until the registry has these."""

        async def there() -> bool | None:
            keys = self.etcd.ctl("get", "--prefix", "--keys-only", "/micro/registry/")
            return all(f"master-{name}" in keys for name in names) or None

        await eventually(there, f"registration of {names}", 20 * TTL_S)

    async def members(self, *names: str, limit_s: float = 10 * TTL_S) -> None:
        """Wait until the file has exactly these, and the edge says that it is in step."""
        wanted = {f"go.micro.server.master-{name}" for name in names}

        async def there() -> bool | None:
            found = set(re.findall(r"go\.micro\.server\.master-\w+", self.file.read_text()))
            return (found == wanted and await self.ready()) or None

        await eventually(there, f"members {names}", limit_s)

    async def ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def get(self, path: str) -> tuple[int, str]:
        """What the edge tells; status 0 where it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.status}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def says(self, *words: str, limit_s: float = 10 * TTL_S) -> str:
        """Wait until /health has these words; all that it says."""

        async def said() -> str | None:
            _, text = await self.get("/health")
            return text if all(word in text for word in words) else None

        try:
            return await eventually(said, f"words {words}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self.get('/health')}") from None

    async def figure(self, name: str) -> float:
        """One of /metrics, by its name with labels; 0.0 where there is none."""
        _, text = await self.get("/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self) -> None:
        if self.door is not None and self.door.running and self.kind == "nginx":
            self.door.signal_group(signal.SIGTERM)
        for process in self._started:
            with suppress(ProcessLookupError):
                process.kill_group()

    def _start(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self.folder / f"{name}.log")
        self._started.append(process)
        return process

    def _moved(self, text: str) -> str:
        """As shipped, but for what only one of a machine can have."""
        temporary = "".join(
            f" {kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            text.replace("/run/nginx.pid", f"{self.folder}/nginx.pid")
            .replace("/var/log/nginx/error.log", f"{self.folder}/error.log")
            .replace("\nhttp {\n", f"\nhttp {{\n   {temporary}\n")
            .replace('http = ":8079"', f'http = ":{self.status}"')
        )
