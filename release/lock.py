"""Writes requirements.lock: what a production install takes, to the version and to the byte.

pip resolves the dependencies of pyproject.toml once, and then for every platform on which crawler
runs in production; the lock holds one version of each package, with the hashes of the wheels that
those platforms take. Run it with the oldest Python that is supported: pip reads conditions on the
Python version ("only before 3.13") as for the interpreter that it runs on, and only the oldest
needs every backport. The conditions in pyproject.toml itself are read for each Python, and stand in
the lock. Raises where a package has no wheel for one of the platforms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCK = Path(__file__).parent / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC = range(17, 37)  # 2.17 is manylinux2014; the oldest that will do is preferred

HEAD = """\
# Made by `make lock` of the dependencies in pyproject.toml, for Linux on x86-64 and aarch64 with
# CPython {first} to {last}. To install:
#     pip install --require-hashes --only-binary :all: -r release/requirements.lock
#     pip install --no-deps .
"""


def dependencies() -> Sequence[str]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted: Sequence[str] = project["dependencies"]
    return wanted


def is_for(text: str, python: str) -> bool:
    """Whether that Python is one of those that the dependency is for."""
    marker = Requirement(text).marker
    return marker is None or marker.evaluate({"python_version": python})


def resolve(wanted: Sequence[str], python: str, machine: str, pins: Iterable[str]) -> list[Any]:
    """pip's report of what it would install there, with these versions where any are given."""
    tags = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC)]
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder, "report.json"), Path(folder, "pins.txt")
        constraints.write_text("\n".join(pins), "utf-8")
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--dry-run", "--ignore-installed", "--only-binary=:all:", f"--target={folder}/none",
            f"--python-version={python}", "--implementation=cp", f"--report={report}",
            f"--constraint={constraints}", *(f"--platform={tag}" for tag in tags),
            *(each for each in wanted if is_for(each, python)),
        ]  # fmt: skip
        subprocess.run(command, check=True)  # noqa: S603 - of our own words
        packages: list[Any] = json.loads(report.read_text("utf-8"))["install"]
    return packages


def pin(package: Mapping[str, Any]) -> str:
    """``name==version``, the name as indexes spell it."""
    name = str(package["metadata"]["name"]).lower().replace("_", "-").replace(".", "-")
    return f"{name}=={package['metadata']['version']}"


def until(latest: str) -> str:
    """The condition of a package that no Python after the ``latest`` takes."""
    return "" if latest == PYTHONS[-1] else f' ; python_version <= "{latest}"'


def lock() -> str:
    """The text of the lock."""
    wanted = dependencies()
    first = resolve(wanted, PYTHONS[0], MACHINES[0], ())
    pins = [pin(package) for package in first]
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    latest: dict[str, str] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for package in resolve(wanted, python, machine, pins):
                digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
                hashes[pin(package)].add(f"--hash=sha256:{digest}")
                latest[pin(package)] = python
    lines = [
        " \\\n    ".join([f"{each}{until(latest[each])}", *sorted(hashes[each])])
        for each in sorted(hashes)
    ]
    return HEAD.format(first=PYTHONS[0], last=PYTHONS[-1]) + "\n".join(lines) + "\n"


def main() -> None:
    if sys.version_info[:2] != tuple(map(int, PYTHONS[0].split("."))):
        sys.exit(f"run this with Python {PYTHONS[0]}, the oldest that is supported")
    LOCK.write_text(lock(), "utf-8")


if __name__ == "__main__":
    main()
