"""A real PostgreSQL for tests, on loopback, with a data directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import free_port
from tests.processes import state_of

START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0
AUTHENTICATION_LIMIT_S = 5
_OWNER = "postgres"  # the server refuses to run as root


def program(name: str) -> str:
    """Where Debian and others keep the server's programs, which are on no PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    path = str(found[0]) if found else shutil.which(name)
    assert path, f"{name} is missing: apt-get install postgresql"
    return path


class PostgresServer:
    """One cluster in the sense of PostgreSQL. ``durable`` False trades safety in a crash of the
    machine, which no test can cause, for speed; commits survive kill -9 either way.
    ``settings``: more of the server's own. ``parent``: where its directory is made."""

    def __init__(
        self,
        *,
        durable: bool = False,
        address: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
        parent: Path | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
        self.port = free_port()
        self.address = address
        self._prefix = prefix
        self._data = self.directory / "data"
        self._durable = durable
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = count(1)

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def url(self, schema: str = "") -> str:
        """For the superuser; ``schema``: with that search path."""
        options = f"?options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql://{_OWNER}@{self.address}:{self.port}/postgres{options}"

    def fresh_url(self) -> str:
        """With a schema that nobody has used."""
        return self.url(f"test_{next(self._schemas)}")

    def start(self) -> None:
        """Start, and wait until it takes connections. A crash is recovered from first."""
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            self._process = self._spawn()
            while self._process.poll() is None:
                if self._ready():
                    return
                assert time.monotonic() < deadline, self._log()
                time.sleep(0.02)
            # After a kill -9 the children of the last one may live a moment longer.
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast (sessions are ended); SIGQUIT: immediate; SIGKILL: the postmaster alone,
        whose children notice and end. One that does not end in time is killed with its children,
        as service managers do, and what it was doing is printed."""
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                print(f"PostgreSQL does not end {STOP_LIMIT_S:g} s after {number.name}:")
                for pid in (self.pid, *self._children()):
                    with suppress(ProcessLookupError, FileNotFoundError):
                        print(_told(pid))
                        os.kill(pid, signal.SIGKILL)
                self._process.wait(STOP_LIMIT_S)
            self._process = None

    def freeze(self) -> None:
        """Stop all its processes where they stand; the postmaster first, so that none is added."""
        os.kill(self.pid, signal.SIGSTOP)
        for pid in self._children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in (*self._children(), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _children(self) -> list[int]:
        tasks = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def sql(self, *statements: str) -> str:
        """Run them as superuser, one by one; the rows, one per line, columns separated by
        ``|``."""
        commands = [f"--command={each}" for each in statements]
        done = subprocess.run(
            [*self._prefix, "psql", "--no-psqlrc", "-qAt", *commands, self.url()],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def close(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self._create()
            self.start()
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

    def _create(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.directory, _OWNER, _OWNER)
        command = [program("initdb"), f"--pgdata={self._data}", f"--username={_OWNER}"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(self._as_owner(command), check=True, capture_output=True, cwd=self.directory)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": self.address,
            "port": self.port,
            "unix_socket_directories": self.directory,
            "max_connections": 200,
            "fsync": "on" if self._durable else "off",
            "log_min_messages": "fatal",
            # A stop waits for sessions that it refuses until they have said who they are, and a
            # client that is paused or cut off never says.
            "authentication_timeout": AUTHENTICATION_LIMIT_S,
            **self._settings,
        }
        command = [program("postgres"), "-D", str(self._data)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("ab") as output:
            return subprocess.Popen(
                [*self._prefix, *self._as_owner(command)],
                stdout=output,
                stderr=output,
                cwd=self.directory,
                start_new_session=True,
            )

    def _as_owner(self, command: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return command
        return ["setpriv", f"--reuid={_OWNER}", f"--regid={_OWNER}", "--clear-groups", *command]

    def _ready(self) -> bool:
        command = [*self._prefix, program("pg_isready"), "-q", "-h", self.address]
        command += ["-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


def _told(pid: int) -> str:
    """What a process is, its state, and what it waits for in the kernel."""
    folder = Path(f"/proc/{pid}")
    command = (folder / "cmdline").read_text().replace("\0", " ").strip()
    return f"{pid} {state_of(pid)} {(folder / 'wchan').read_text()}: {command}"
