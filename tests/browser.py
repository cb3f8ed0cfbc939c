"""A real Chromium that remembers what went wrong in it: errors, dialogs, breaches of the policy."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

# Chromium refuses its sandbox to root, as whom tests often run.
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage")
PATIENCE_MS = 20_000  # several times to live, on a machine that has other things to do
_LISTEN = """
window.breaches = [];
addEventListener("securitypolicyviolation", (event) => {
  window.breaches.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Window:
    """One page. ``faults``: exceptions and console errors, but for answers that were refused or did
    not come, which the page shows; ``dialogs``: what `alert` and the like said."""

    page: Page
    faults: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    async def breaches(self) -> list[str]:
        """What the Content-Security-Policy forbade since the page was loaded."""
        found: list[str] = await self.page.evaluate("window.breaches")
        return found

    async def check(self) -> None:
        """Nothing went wrong."""
        assert (self.faults, self.dialogs, await self.breaches()) == ([], [], [])


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """The system's Chromium; its processes end with the block."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "chromium is not installed; run `make system`"
    # Chromium leaves directories behind wherever it is told to keep what is of no use later.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program, args=FLAGS, env={**os.environ, "TMPDIR": folder}
            )
            try:
                yield browser
            finally:
                await browser.close()


@asynccontextmanager
async def open_window(browser: Browser, url: str, **options: Any) -> AsyncIterator[Window]:
    """A fresh profile that shows ``url``; ``options`` are Playwright's for a context."""
    expect.set_options(timeout=PATIENCE_MS)
    context = await browser.new_context(**options)
    await context.add_init_script(_LISTEN)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    window = Window(page)
    page.on("pageerror", lambda error: window.faults.append(str(error)))
    page.on(
        "console",
        lambda said: (
            window.faults.append(said.text)
            if said.type == "error" and not said.text.startswith("Failed to load resource")
            else None
        ),
    )
    closing: set[asyncio.Task[None]] = set()

    def dialog(opened: Any) -> None:
        window.dialogs.append(opened.message)
        task = asyncio.ensure_future(opened.dismiss())
        closing.add(task)
        task.add_done_callback(closing.discard)

    page.on("dialog", dialog)
    await page.goto(url)
    try:
        yield window
    finally:
        await context.close()
