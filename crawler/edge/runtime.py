"""haproxy's runtime API: commands through a Unix socket, answered in words (management.txt)."""

from __future__ import annotations

import asyncio
import csv
import io
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from crawler.edge.members import read_address
from crawler.errors import OutOfStep, Unavailable

_LIMIT_S = 3.0
_MOST_BYTES = 16 * 1024 * 1024
# srv_admin_state: forced by a command into maintenance, into drain.
_MAINTENANCE, _DRAIN = 0x01, 0x08
_ADDED = "New server registered"

# What follows a server's name in the file, by backend and name.
Wanted = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it is live."""

    host: str
    port: int
    check_port: int
    weight: int
    admin_state: int

    @property
    def leaves(self) -> bool:
        return bool(self.admin_state & (_MAINTENANCE | _DRAIN))

    def fits(self, line: str) -> bool:
        """Whether it is what ``line`` says, and in use."""
        words = line.split()
        place, weight = read_address(words[0]), _after(words, "weight")
        check = int(_after(words, "port") or 0)
        return (
            not self.admin_state
            and (self.host, self.port) == place
            and str(self.weight) == weight
            and self.check_port == check
        )


class Runtime:
    """The socket. Raises `Unavailable` where nobody answers there, `OutOfStep` with haproxy's words
    where it refuses."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def ask(self, command: str) -> str:
        """One command; the whole answer."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(f"{command}\n".encode())
                    await writer.drain()
                    answer = await reader.read(_MOST_BYTES)
                    while more := await reader.read(_MOST_BYTES - len(answer)):
                        answer += more
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"haproxy does not answer at {self._socket}: {why}") from error
        text = answer.decode("utf-8", "replace")
        if "ermission denied" in text:
            raise OutOfStep(f"the socket {self._socket} is not of level admin: {text.strip()}")
        return text

    async def backends(self) -> set[str]:
        """Names of all backends."""
        return {each.strip() for each in (await self.ask("show backend")).splitlines()}

    async def servers(self) -> dict[tuple[str, str], Server]:
        """All servers by backend and name."""
        lines = (await self.ask("show servers state")).splitlines()
        names = next((line[1:].split() for line in lines if line.startswith("#")), [])
        rows = (line.split() for line in lines if line[:1].isdigit() and " " in line)
        found = {}
        for row in rows:
            each = dict(zip(names, row, strict=False))
            found[each["be_name"], each["srv_name"]] = Server(
                _plain(each["srv_addr"]),
                int(each["srv_port"]),
                int(each["srv_check_port"]),
                int(each["srv_uweight"]),
                int(each["srv_admin_state"]),
            )
        return found

    async def sessions(self) -> dict[tuple[str, str], int]:
        """How many sessions each server has now."""
        text = (await self.ask("show stat -1 4 -1")).removeprefix("# ")
        rows = csv.DictReader(io.StringIO(text))
        return {(row["pxname"], row["svname"]): int(row["scur"] or 0) for row in rows}

    async def add(self, backend: str, name: str, line: str) -> None:
        """Add a server, and use it as soon as its check succeeds."""
        await self._expect(f"add server {backend}/{name} {line}", _ADDED)
        await self._expect(f"enable health {backend}/{name}")
        await self._expect(f"enable server {backend}/{name}")

    async def change(self, backend: str, name: str, line: str) -> None:
        """Make a server that is there be what ``line`` says."""
        words, server = line.split(), f"{backend}/{name}"
        place = read_address(words[0])
        assert place is not None, "rendered with one"
        await self._expect(f"set server {server} addr {place[0]} port {place[1]}", None)
        if check := _after(words, "port"):
            await self._expect(f"set server {server} check-port {check}", None)
        await self._expect(f"set server {server} weight {_after(words, 'weight')}")
        await self._expect(f"enable health {server}")
        await self._expect(f"set server {server} state ready")

    async def drain(self, backend: str, name: str) -> None:
        """It gets nothing new; what runs goes on."""
        await self._expect(f"set server {backend}/{name} state drain")

    async def remove(self, backend: str, name: str) -> None:
        """End what still runs on it, and delete it."""
        await self._expect(f"set server {backend}/{name} state maint")
        await self._expect(f"shutdown sessions server {backend}/{name}")
        await self._expect(f"del server {backend}/{name}", "Server deleted")

    async def _expect(self, command: str, words: str | None = "") -> None:
        """``words`` "": it says nothing; None: whatever it says."""
        answer = (await self.ask(command)).strip()
        if words is not None and (answer != words if not words else words not in answer):
            raise OutOfStep(f"haproxy refused `{command}`: {answer}")


def _after(words: list[str], name: str) -> str:
    """The word after that one."""
    return words[words.index(name) + 1] if name in words else ""


def _plain(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
