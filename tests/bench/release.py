"""Programs of several versions side by side, each in an environment of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ASK = """
import json, crawler
from crawler.rpc.pb import control_pb2, crawler_pb2
from crawler.store.sqlite.schema import VERSION
files = [each.DESCRIPTOR for each in (control_pb2, crawler_pb2)]
fields = [len(each.fields) for one in files for each in one.message_types_by_name.values()]
print(json.dumps([crawler.__file__, VERSION, sum(fields)]))
"""


@dataclass(frozen=True, slots=True)
class Release:
    """``python`` runs it, whatever the current directory is, if PYTHONSAFEPATH is set. ``messages``
    is how many fields those between masters have."""

    name: str
    python: Path
    schema: int
    messages: int


def last_tag(root: Path = ROOT) -> str:
    """The last release before what is checked out: a tag such as v1.2.0 that leads here, though not
    that of these very files. Raises `SystemExit` where there is none."""
    tag = _tag_before(root, "HEAD")
    if tag and _git(root, "diff", "--quiet", tag, "--").returncode == 0:
        tag = _tag_before(root, f"{tag}^")
    if not tag:
        raise SystemExit(
            "no tag v… leads here: say from which revision (make upgrade FROM=REVISION)"
        )
    return tag


def working() -> Release:
    """This checkout."""
    return _asked("new", Path(sys.executable), ROOT)


def installed(revision: str, folder: Path) -> Release:
    """The files of a revision, and an environment that has them before all that is installed here.
    Raises `SystemExit` where git does not know it."""
    home, environment = folder / "files", folder / "environment"
    packed = _git(ROOT, "archive", "--format=tar", revision)
    if packed.returncode:
        raise SystemExit(f"--from {revision}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        files.extractall(home, filter="data")
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    borrowed = [each for each in sys.path if Path(each).name == "site-packages"]
    (site / "release.pth").write_text("\n".join((str(home), *borrowed)) + "\n")
    return _asked("old", environment / "bin" / "python", home)


def _tag_before(root: Path, revision: str) -> str:
    """The nearest tag of a release at or before it; "" without one."""
    found = _git(root, "describe", "--tags", "--abbrev=0", "--match=v[0-9]*", revision)
    return found.stdout.decode().strip()


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)


def _asked(name: str, python: Path, home: Path) -> Release:
    """What the program says of itself; it must be the one in ``home``."""
    said = subprocess.run(
        [str(python), "-P", "-c", _ASK], capture_output=True, check=True, text=True
    ).stdout
    file, schema, messages = json.loads(said)
    assert Path(file).is_relative_to(home), f"{python} runs {file}"
    return Release(name, python, schema, messages)
