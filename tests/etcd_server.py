"""A real etcd for tests: one member or three, on loopback or on hosts of a laboratory, started and
stopped by pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.place import LOOPBACK, Place
from tests.ports import free_port

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0

# A single member needs no rivals' patience before it elects itself; three keep etcd's own timing.
QUICK = ("--heartbeat-interval=10", "--election-timeout=100")


@dataclass(frozen=True, slots=True)
class Certificates:
    """A throwaway authority with one pair for 127.0.0.1 that serves both sides."""

    ca_file: str
    cert_file: str
    key_file: str

    @classmethod
    def issue(cls, directory: Path) -> Certificates:
        """Write ``ca.pem``, ``node.pem`` and ``node.key``; needs the openssl command."""
        directory.mkdir(parents=True, exist_ok=True)
        extensions = directory / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions"
        for command in (
            f"req -x509 {new_key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
            f"req {new_key} -keyout node.key -out node.csr -subj /CN=node",
            f"x509 -req -in node.csr -out node.pem {sign}",
        ):
            subprocess.run(
                ["openssl", *command.split()], cwd=directory, check=True, capture_output=True
            )
        return cls(*(str(directory / name) for name in ("ca.pem", "node.pem", "node.key")))


class PortTaken(RuntimeError):
    """Another process listens on a port that was free when it was drawn."""


class EtcdServer:
    """An etcd cluster in a directory of its own, which `close` removes.

    ``endpoints`` stay the same over `stop`, `kill` and `start`, and so does the data. Member
    numbers count from 0; without one, a method concerns all members. With ``places``, each of them
    gets one member.
    """

    def __init__(
        self,
        *,
        members: int = 1,
        places: Sequence[Place] = (),
        certificates: Certificates | None = None,
        extra: tuple[str, ...] = (),
    ) -> None:
        self._places = tuple(places) or (LOOPBACK,) * members
        self.directory = Path(tempfile.mkdtemp(prefix="etcd-"))
        self._certificates = certificates
        self._extra = extra
        self._scheme = "https" if certificates else "http"
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * len(self._places)
        self._draw_ports()
        self._user: tuple[str, str] | None = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Client URLs, one per member."""
        return self._urls(self._scheme, self._clients)

    def pid(self, member: int = 0) -> int:
        """The process id of a running member."""
        process = self._processes[member]
        assert process is not None, f"member {member} is not running"
        return process.pid

    def start(self, *members: int) -> None:
        """Start those members (default: all that do not run) and wait until they serve."""
        wanted = members or range(len(self._processes))
        for member in wanted:
            if self._processes[member] is None:
                self._processes[member] = self._spawn(member)
        for member in wanted:
            self._await_health(member)

    def stop(self, *members: int) -> None:
        """SIGTERM, then wait for the end."""
        self._end(signal.SIGTERM, members)

    def kill(self, *members: int) -> None:
        """SIGKILL, then wait for the end."""
        self._end(signal.SIGKILL, members)

    def pause(self, *members: int) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP, members)

    def resume(self, *members: int) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT, members)

    def wipe(self) -> None:
        """Throw the data away; only while nothing runs."""
        assert not any(self._processes)
        for member in range(len(self._processes)):
            shutil.rmtree(self.directory / f"member-{member}")

    def save(self, snapshot: Path) -> None:
        """Write down what a single member holds."""
        self.ctl("snapshot", "save", str(snapshot))

    def restore(self, snapshot: Path) -> None:
        """Let a single member, while it does not run, hold that again: revisions go back."""
        self.wipe()
        (peer,) = self._urls("http", self._peers)
        directory = self.directory / "member-0"
        command = ["etcdctl", "snapshot", "restore", str(snapshot), f"--data-dir={directory}"]
        command += ["--name=m0", f"--initial-cluster=m0={peer}"]
        command.append(f"--initial-advertise-peer-urls={peer}")
        environment = {**os.environ, "ETCDCTL_API": "3"}
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def close(self) -> None:
        """Stop whatever runs and remove the directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except PortTaken:
            # Somebody else's process was faster; nobody has seen the addresses yet.
            self.kill()
            self._draw_ports()
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

    def ctl(self, *arguments: str, member: int | None = None, timeout_s: float = 10.0) -> str:
        """Run etcdctl against one member, beside it, or against all, beside the first; its output.
        A failure raises."""
        endpoints = self.endpoints if member is None else (self.endpoints[member],)
        command = ["etcdctl", f"--endpoints={','.join(endpoints)}", *self._tls_arguments()]
        if self._user is not None:
            command.append(f"--user={':'.join(self._user)}")
        done = subprocess.run(
            self._places[member or 0].command([*command, *arguments]),
            env={**os.environ, "ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"etcdctl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def leader(self) -> int:
        """The member that leads etcd's own cluster."""
        for member in range(len(self.endpoints)):
            itself, leader = self._believes(member)
            if itself == leader:
                return member
        raise RuntimeError("no leader")

    def kill_leader(self) -> float:
        """SIGKILL to etcd's leader; seconds until another member follows another leader."""
        leader = self.leader()
        old, _ = self._believes(leader)
        began = time.monotonic()
        self.kill(leader)
        while self._believes((leader + 1) % len(self.endpoints))[1] in ("0", old):
            if time.monotonic() - began > START_LIMIT_S:
                raise RuntimeError("no new leader")
            time.sleep(0.02)
        return time.monotonic() - began

    def enable_auth(self, user: str, password: str) -> None:
        """Create root and a user that may touch every key, then switch authentication on."""
        self.ctl("user", "add", "root:root")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("role", "add", "everything")
        self.ctl("role", "grant-permission", "everything", "--prefix=true", "readwrite", "")
        self.ctl("user", "add", f"{user}:{password}")
        self.ctl("user", "grant-role", user, "everything")
        self.ctl("auth", "enable")
        self._user = ("root", "root")

    def _believes(self, member: int) -> tuple[str, str]:
        """The id of that member and of the one that it holds for the leader; "0": of none."""
        fields = self.ctl("endpoint", "status", "--write-out=fields", member=member)
        values = dict(line.split(" : ") for line in fields.splitlines() if " : " in line)
        return values['"MemberID"'], values['"Leader"']

    def _draw_ports(self) -> None:
        self._clients = [free_port() for _ in self._processes]
        self._peers = [free_port() for _ in self._processes]

    def _urls(self, scheme: str, ports: Sequence[int]) -> tuple[str, ...]:
        pairs = zip(self._places, ports, strict=True)
        return tuple(f"{scheme}://{place.address}:{port}" for place, port in pairs)

    def _spawn(self, member: int) -> subprocess.Popen[bytes]:
        client = self.endpoints[member]
        peers = self._urls("http", self._peers)
        names = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
        command = [
            "etcd",
            f"--name=m{member}",
            f"--data-dir={self.directory / f'member-{member}'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peers[member]}",
            f"--initial-advertise-peer-urls={peers[member]}",
            f"--initial-cluster={names}",
            "--pre-vote=true",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=10m",
            *(QUICK if len(peers) == 1 else ()),
            "--log-level=error",
            "--logger=zap",
            *self._server_tls_arguments(),
            *self._extra,
        ]
        with (self.directory / f"member-{member}.log").open("ab") as output:
            # A session of its own: a Ctrl-C at the terminal is for the tests, which then stop it.
            return subprocess.Popen(
                self._places[member].command(command),
                stdout=output,
                stderr=output,
                cwd=self.directory,
                start_new_session=True,
            )

    def _tls_arguments(self) -> list[str]:
        if (pair := self._certificates) is None:
            return []
        return [f"--cacert={pair.ca_file}", f"--cert={pair.cert_file}", f"--key={pair.key_file}"]

    def _server_tls_arguments(self) -> list[str]:
        if (pair := self._certificates) is None:
            return []
        return [
            f"--cert-file={pair.cert_file}",
            f"--key-file={pair.key_file}",
            f"--trusted-ca-file={pair.ca_file}",
            "--client-cert-auth",
        ]

    def _await_health(self, member: int) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            process = self._processes[member]
            assert process is not None
            if process.poll() is not None:
                log = (self.directory / f"member-{member}.log").read_text(errors="replace")
                error = PortTaken if "address already in use" in log else RuntimeError
                raise error(f"etcd member {member} ended: {log[-2000:]}")
            try:
                self.ctl("endpoint", "health", member=member)
            except (RuntimeError, subprocess.TimeoutExpired):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def _signal(self, number: signal.Signals, members: tuple[int, ...]) -> list[int]:
        wanted = [
            member
            for member in members or range(len(self._processes))
            if self._processes[member] is not None
        ]
        for member in wanted:
            process = self._processes[member]
            assert process is not None
            process.send_signal(number)  # nothing, where it has ended by itself
        return wanted

    def _end(self, number: signal.Signals, members: tuple[int, ...]) -> None:
        for member in self._signal(number, members):
            process = self._processes[member]
            assert process is not None
            if number is signal.SIGTERM:
                process.send_signal(signal.SIGCONT)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT_S)
            self._processes[member] = None
