"""Lets a worker's callers try a definition on a page, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from crawler.errors import Exhausted, InvalidInput

COMMAND = (sys.executable, "-m", "crawler.app.trial_process")
AT_ONCE = 3
LIMIT_S = 40  # below what proxies usually wait for an answer


class Trials:
    """``settings`` are what a child is told; only what fetching needs of them is passed on."""

    def __init__(self, settings: Mapping[str, Any], limit_s: float = LIMIT_S) -> None:
        self._settings = {
            name: settings[name] for name in ("allow_private", "secrets", "proxy_pools", "browser")
        }
        self._limit_s = limit_s
        self._running = 0

    async def try_page(self, definition: str, url: str, rule: str) -> str:
        """What the definition makes of the page, as a JSON object. Raises `InvalidInput`, also
        where the page cannot be had, and `Exhausted`."""
        return json.dumps(await self._ask(definition=definition, url=url, rule=rule))

    async def propose(self, url: str) -> str:
        """A first definition in TOML; raises alike."""
        return str(await self._ask(url=url))

    async def _ask(self, **asked: str) -> Any:
        if self._running >= AT_ONCE:
            raise Exhausted("this worker looks at other pages just now; try again")
        self._running += 1
        try:
            answer = await self._run(json.dumps({"settings": self._settings, "asked": asked}))
        finally:
            self._running -= 1
        if "refused" in answer:
            raise InvalidInput(answer["refused"], field=answer["field"])
        return answer["found"]

    async def _run(self, order: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(self._limit_s):
                output, _ = await process.communicate(order.encode())
        except TimeoutError as error:
            raise InvalidInput(
                f"url: it took longer than {self._limit_s:g} s to fetch and read the page",
                field="url",
            ) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with a browser that it started
                await process.wait()
        if process.returncode or not output:
            raise InvalidInput(
                "url: the process that read the page died of it; try a smaller page", field="url"
            )
        return json.loads(output)
