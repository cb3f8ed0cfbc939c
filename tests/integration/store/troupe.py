"""Starts actors and tells them what to do, from the side of the test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
_LONGEST_ANSWER = 2**22


class Refusal(Exception):
    """The actor answered with an error of this class."""


class Player:
    """One running actor."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def tell(self, verb: str, *arguments: object) -> Any:
        """Do it and wait for the answer."""
        await self.begin(verb, *arguments)
        return await self.answer()

    async def begin(self, verb: str, *arguments: object) -> None:
        """Do it; the answer is not awaited."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([verb, *arguments]).encode() + b"\n")
        await self.process.stdin.drain()

    async def answer(self) -> Any:
        """The next answer; `Refusal` where it is an error, EOFError where the actor is gone."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise EOFError
        told = json.loads(line)
        if "error" in told:
            raise Refusal(told["error"], told["says"])
        return told["result"]

    async def stopped(self) -> None:
        """Wait until the process is stopped by a signal."""
        flags = os.WSTOPPED | os.WNOWAIT
        await asyncio.to_thread(os.waitid, os.P_PID, self.process.pid, flags)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code, negative for a signal."""
        return await self.process.wait()


class Troupe:
    """All actors of a test, on one store."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.players: list[Player] = []

    async def start(
        self, failpoints: str = "", locked_for_s: float = 0.5, ahead_s: float = 0.0
    ) -> Player:
        """A new actor that has opened the store."""
        player = await self.launch(failpoints, locked_for_s, ahead_s)
        await player.answer()
        return player

    async def launch(
        self, failpoints: str = "", locked_for_s: float = 5.0, ahead_s: float = 0.0
    ) -> Player:
        """A new actor; its first answer, the store's id, is still to come."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.store.actor",
            self.url,
            str(locked_for_s),
            str(ahead_s),
            cwd=ROOT,
            env={**os.environ, "CRAWLER_FAILPOINTS": failpoints},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_ANSWER,
        )
        player = Player(process)
        self.players.append(player)
        return player


@asynccontextmanager
async def on_stage(url: str) -> AsyncIterator[Troupe]:
    """A troupe whose actors are gone at the end of the block."""
    troupe = Troupe(url)
    try:
        yield troupe
    finally:
        for player in troupe.players:
            if player.process.returncode is None:
                player.send(signal.SIGKILL)
            await player.ended()
            transport = player.process._transport  # type: ignore[attr-defined]
            transport.close()
