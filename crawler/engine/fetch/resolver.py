"""Names resolved as ever, and remembered with their addresses, for who has to count by address."""

from __future__ import annotations

import socket
from collections import OrderedDict

import aiohttp
from aiohttp.abc import ResolveResult

from crawler.engine.urls import name_of

_MOST_NAMES = 10_000


class Resolver(aiohttp.ThreadedResolver):
    """Of several addresses the lowest stands for all, as name servers turn their order."""

    def __init__(self) -> None:
        super().__init__()
        self._addresses: OrderedDict[str, str] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if found:
            self._addresses[host] = min(each["host"] for each in found)
            self._addresses.move_to_end(host)
            if len(self._addresses) > _MOST_NAMES:
                self._addresses.popitem(last=False)
        return found

    def address_of(self, url: str) -> str:
        """Where the host of a canonical URL was found; a literal address is itself."""
        name = name_of(url)
        return self._addresses.get(name, name.strip("[]") if _is_literal(name) else "")


def _is_literal(name: str) -> bool:
    return name.startswith("[") or name.rpartition(".")[2].isdecimal()
