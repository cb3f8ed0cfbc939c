"""A Chromium that somebody has installed: found, started, measured, and surely ended.

It is the child of Playwright's driver, which ends when we do; `start` sees to it that it
dies with that driver. Its profile is a directory of its own, which whoever comes next removes if we
could not.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from crawler.engine.browser import start
from crawler.errors import FetchFailed, Misconfigured
from crawler.tasks import bounded

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

log = structlog.get_logger(__name__)

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Debian's `chromium` on the PATH is a script that adds keys, extensions and flags.
_PLACES = ("/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser")
_START_S = 30.0
_CLOSE_S = 1.0
_PREFIX = "crawler-browser-"
_SOCKET = "SingletonSocket"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# What sends, fetches or asks by itself, or is of no use without a screen.
_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-field-trial-config",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-service-autorun",
    "--disable-search-engine-choice-screen",
    "--password-store=basic",
    "--use-mock-keychain",
    # A page goes on as if somebody looked at it.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Every navigation is a request, which Playwright asks us about.
    "--disable-back-forward-cache",
    "--disable-hang-monitor",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--mute-audio",
    # Nothing leaves but through the proxy: no QUIC, no UDP of WebRTC, no names resolved.
    "--disable-quic",
    "--dns-prefetch-disable",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    # Chromium leaves loopback to itself unless told otherwise.
    "--proxy-bypass-list=<-loopback>",
    # The script's heap of one page; the whole is measured.
    "--js-flags=--max-old-space-size=512",
    "--disable-features="
    + ",".join(
        (
            "AimEnabled",
            "AutofillServerCommunication",
            "AvoidCorsURLLoaderRestartOnRedirect",  # aborts redirects that are intercepted
            "DestroyProfileOnBrowserClose",
            "HttpsFirstBalancedModeAutoEnable",
            "HttpsUpgrades",  # the URL is the one that was asked for
            "MediaRouter",
            "NetworkTimeServiceQuerying",
            "OptimizationHints",
            "PreconnectToSearch",
            "Translate",
            "WebRtcHideLocalIpsWithMdns",  # asks for them by multicast; there are none to hide
        )
    ),
)


def find_browser(program: str | None) -> str:
    """The program to start: as set, otherwise the one that is installed. Raises `Misconfigured`
    where it, or Playwright, is missing; the message says what to install."""
    if importlib.util.find_spec("playwright") is None:
        raise Misconfigured(
            'fetcher = "browser" needs Playwright: pip install "crawler-cluster[browser]"'
        )
    if program is not None:
        if not os.access(program, os.X_OK) or not Path(program).is_file():
            raise Misconfigured(f"browser: {program} is no program that can be started")
        return program
    for place in (*_PLACES, *(shutil.which(name) for name in _NAMES)):
        if place is not None and os.access(place, os.X_OK):
            return place
    raise Misconfigured(
        'fetcher = "browser" needs Chromium: apt-get install chromium, or name yours with the '
        "setting browser (CRAWLER_BROWSER=/path/to/chromium)"
    )


@dataclass(slots=True, eq=False)
class Chromium:
    """One that runs. ``pid`` is its first process, which leads a session of its own."""

    browser: Browser
    driver: Playwright
    home: Path
    lock: int
    pid: int

    @property
    def alive(self) -> bool:
        """Whether it still answers, as far as is known."""
        return self.browser.is_connected()

    def memory_bytes(self) -> int:
        """Resident memory of all its processes, without what they share."""
        return sum(_private_bytes(pid) for pid in _session(self.pid))

    def kill(self) -> None:
        """At once; pages under way fail."""
        if self.pid in _session(self.pid):  # not somebody else by now
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End it, which needs no grace, and remove what it kept."""
        self.kill()
        await bounded(self.driver.stop(), _CLOSE_S, "browser's driver")
        await asyncio.to_thread(_remove, self.home)
        os.close(self.lock)


async def start_browser(program: str, proxy_url: str) -> Chromium:
    """Start it so that it knows no other way out than the proxy. Raises `FetchFailed`."""
    from playwright.async_api import Error, async_playwright

    home, lock = await asyncio.to_thread(_make_home)
    driver: Playwright | None = None
    try:
        async with asyncio.timeout(_START_S):
            driver = await async_playwright().start()
            browser = await driver.chromium.launch(
                executable_path=sys.executable,
                ignore_default_args=True,
                args=_arguments(program, home, proxy_url),
                env=_environment(home),
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        pid = int((home / "pid").read_text("ascii"))
    except BaseException as error:
        if driver is not None:
            await bounded(driver.stop(), _CLOSE_S, "browser's driver")
        await asyncio.to_thread(_remove, home)
        os.close(lock)
        if isinstance(error, Error | OSError | TimeoutError | ValueError):
            log.error("browser does not start", program=program, error=_last_words(str(error)))
            raise FetchFailed("browser does not start", retry=True) from error
        raise
    log.info("browser started", program=program, version=browser.version, pid=pid)
    return Chromium(browser, driver, home, lock, pid)


def _last_words(text: str) -> str:
    """What the browser itself has said last, out of Playwright's account of its start."""
    lines = text.splitlines()
    said = [line.partition("[err]")[2].strip() for line in lines if "[err]" in line]
    return "; ".join(said[-3:] or lines[:1])[:500]


def _arguments(program: str, home: Path, proxy_url: str) -> list[str]:
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # root has none
    if sandbox:
        log.warning("the browser has no sandbox, because this process is root's")
    return [
        *("-I", "-S", start.__file__, str(home / "pid"), program),
        *(*_FLAGS, f"--proxy-server={proxy_url}", f"--user-data-dir={home / 'profile'}", *sandbox),
    ]


def _environment(home: Path) -> dict[str, str | float | bool]:
    """Nothing that this process knows from its own: there may be secrets in it."""
    return {"HOME": str(home), "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def _make_home() -> tuple[Path, int]:
    """A fresh directory and the lock that tells it from those of the dead, which are removed."""
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime < _START_S:
                continue  # perhaps not locked yet
            lock = _lock(old)
            _remove(old)
            os.close(lock)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX))
    return home, _lock(home)


def _lock(home: Path) -> int:
    """Raises `OSError` where somebody else holds it, or where it is another user's."""
    lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove(home: Path) -> None:
    """It, and what a browser that was killed leaves elsewhere: Chromium's socket has a directory of
    its own below /tmp, because paths of sockets are short, and the profile a link to it."""
    with suppress(OSError):
        place = (home / "profile" / _SOCKET).readlink().parent
        for name in (_SOCKET, "SingletonCookie"):
            (place / name).unlink(missing_ok=True)
        place.rmdir()
    shutil.rmtree(home, ignore_errors=True)


def _session(leader: int) -> list[int]:
    """The processes of a session (proc_pid_stat(5), field 6)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with suppress(OSError):
            stat = Path(f"/proc/{name}/stat").read_bytes()
            state, *rest = stat.rpartition(b")")[2].split()
            if int(rest[2]) == leader and state != b"Z":
                found.append(int(name))
    return found


def _private_bytes(pid: int) -> int:
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES
