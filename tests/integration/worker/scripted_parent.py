"""A supervisor in a process of its own, with one job, to be killed: argv is the witness's path."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.integration.worker.scene import FakeCatalog, FakeSession, FakeWriter, supervisor


async def main(witness: str) -> None:
    boss = supervisor(witness)
    catalog = FakeCatalog()
    catalog.assign("shop", {"do": "crawl"})
    async with asyncio.TaskGroup() as group:
        group.create_task(boss.run_children())
        group.create_task(boss.follow(FakeSession(), catalog.me, catalog, FakeWriter()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
