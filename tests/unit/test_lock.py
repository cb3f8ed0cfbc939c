"""The lock of a production install agrees with what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.threat(27)

ROOT = Path(__file__).parent.parent.parent
LINE = re.compile(
    r"([a-z0-9-]+)==([A-Za-z0-9.]+)(?: ; (python_version <= \"3\.\d+\"))?"
    r"(?: --hash=sha256:[0-9a-f]{64})+"
)


def locked() -> dict[str, str]:
    """Versions by name; every line must hold a hash."""
    text = (ROOT / "release" / "requirements.lock").read_text("utf-8").replace(" \\\n   ", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    return {each[1]: each[2] for each in found if each is not None}


def asked() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


def reach(requirement: Requirement, versions: dict[str, str], found: set[str]) -> None:
    """Note the package and all that it needs. What is installed here in another version than the
    locked one may need other things, and is not asked."""
    name = canonicalize_name(requirement.name)
    marks = [{"extra": extra} for extra in ("", *requirement.extras)]
    if name in found and not requirement.extras:
        return
    found.add(name)
    if version(name) != versions.get(name):
        return
    for text in requires(name) or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate(each) for each in marks):
            reach(needed, versions, found)


def test_every_dependency_is_locked_to_a_version_that_is_asked_for() -> None:
    versions = locked()
    for requirement in asked():
        pinned = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), (requirement, "make lock")


def test_all_that_these_need_is_locked_too() -> None:
    versions, found = locked(), set[str]()
    for requirement in asked():
        reach(requirement, versions, found)
    assert found <= set(versions), "make lock"
    assert len(found) > len(asked())


def test_the_lock_names_no_place() -> None:
    text = (ROOT / "release" / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "index" not in text
