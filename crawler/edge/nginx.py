"""nginx: upstreams in a file that its configuration includes.

It takes a new list only by a reload, and a reload may fail without a word to whoever asked for it:
where a port is taken `nginx -t` succeeds, and the old workers go on. So the file also makes nginx
answer, on loopback, which generation is live.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import aiohttp

from crawler.edge.commands import run_command
from crawler.edge.files import told
from crawler.edge.members import Backends, Member, Pools
from crawler.edge.settings import NginxTarget
from crawler.edge.target import Applied, Live
from crawler.errors import OutOfStep

_ASK_S = 1.0
_MOST_DEEP = 8
_NOBODY = "127.0.0.1:9 down"  # nginx takes no upstream without servers

# Comments and texts as well, so that nothing in them is taken for a directive.
_INCLUDE = re.compile(
    r"""\#[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
    | (?<![^\s;{}])include\s+(?P<what>"[^"]*"|'[^']*'|[^\s;'"]+)\s*;""",
    re.VERBOSE | re.DOTALL,
)
_ERROR_LOG = re.compile(r"^\s*error_log\s+(/[^\s;]+)", re.MULTILINE)
_EMERGENCY = re.compile(r"\[emerg\] [0-9#]+: (.+)")
_MOST_LOG = 65_536
_GENERATION = re.compile(rb"^# generation ([0-9a-f]{16})$", re.MULTILINE)


class Nginx:
    """A `Balancer`."""

    def __init__(self, name: str, settings: NginxTarget) -> None:
        self._name = name
        self._settings = settings
        self._log: tuple[Path, int] | None = None  # and how long it was before the last reload

    def render(self, pools: Pools) -> bytes:
        settings = self._settings
        body = "".join(_upstreams(name, pools[name], settings.keepalive) for name in sorted(pools))
        generation = hashlib.sha256(f"{settings.generation}\n{body}".encode()).hexdigest()[:16]
        return (
            f"# Written by crawler edge (target {self._name}); what is changed here is lost.\n"
            f"# generation {generation}\n\n{body}"
            "# Which generation of this file is live.\n"
            f"server {{\n    listen {settings.generation};\n    access_log off;\n"
            "    default_type text/plain;\n"
            f'    location = /generation {{ return 200 "{generation}"; }}\n'
            "    location / { return 404; }\n}\n"
        ).encode()

    async def check(self, staged: Path) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="crawler-edge-") as folder, told("cannot check"):
            main = stand_in(settings.main, settings.file, staged, Path(folder))
            command = (settings.program, "-t", "-q", "-c", str(main))
            await run_command(command, settings.timeout_s)

    async def take(self, content: bytes) -> Applied:
        del content
        settings = self._settings
        self._log = _log_of(settings.main)
        command = settings.reload or (
            settings.program, "-c", str(settings.main), "-s", "reload",
        )  # fmt: skip
        await run_command(command, settings.timeout_s)
        return Applied.RELOADED

    async def state(self, content: bytes) -> Live:
        found = _GENERATION.search(content)
        if found is None:
            return Live.UNKNOWN  # somebody else wrote it
        url = f"http://{self._settings.generation}/generation"
        limit = aiohttp.ClientTimeout(total=_ASK_S)
        try:
            async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
                live = (await answer.content.read(64)).strip()
        except aiohttp.ClientConnectorError:
            return Live.DOWN  # or it runs without any generation of ours
        except (aiohttp.ClientError, TimeoutError):
            return Live.OTHER
        return Live.SAME if live == found[1] else Live.OTHER

    async def tidy(self) -> float | None:
        return None

    def complaint(self) -> str:
        """Why it did not take the last reload, in the words of its log ("": none are found)."""
        if self._log is None:
            return ""
        path, before = self._log
        try:
            with path.open("rb") as log:
                log.seek(before if before <= path.stat().st_size else 0)  # rotated meanwhile
                text = log.read(_MOST_LOG).decode("utf-8", "replace")
        except OSError:
            return ""
        return "; ".join(dict.fromkeys(_EMERGENCY.findall(text)))  # it tries five times


def _log_of(main: Path) -> tuple[Path, int] | None:
    """Where it writes what goes wrong, and how long that is now; None where that is no file."""
    try:
        found = _ERROR_LOG.search(main.read_text("utf-8", "surrogateescape"))
        return (Path(found[1]), Path(found[1]).stat().st_size) if found else None
    except OSError:
        return None


def _upstreams(name: str, backends: Backends, keepalive: int) -> str:
    """The pool, and which upstream a request belongs to."""
    everybody = [_server(each, backends.resting(each)) for each in backends.members]
    text = _upstream(name, everybody, keepalive)
    leader = next((each for each in backends.usable if each.id == backends.leader), None)
    if leader is None:
        return f"{text}map $request_method ${name}_route {{ default {name}; }}\n\n"
    others = [
        _server(each, backends.resting(each), " backup")
        for each in backends.members
        if each is not leader
    ]
    text += _upstream(f"{name}_leader", [_server(leader, resting=False), *others], keepalive)
    reads = "" if backends.pool.mode == "grpc" else f" GET {name}; HEAD {name}; OPTIONS {name};"
    return (
        f"{text}# What may change something goes straight to the leader; without it, to any.\n"
        f"map $request_method ${name}_route {{ default {name}_leader;{reads} }}\n\n"
    )


def _upstream(name: str, servers: list[str], keepalive: int) -> str:
    lines = servers or [f"    server {_NOBODY};\n"]
    return (
        f"upstream {name} {{\n    zone {name} 128k;\n{''.join(lines)}"
        f"    keepalive {keepalive};\n    keepalive_timeout 60s;\n}}\n"
    )


def _server(member: Member, resting: bool, more: str = "") -> str:
    """max_fails=0: the registry says who is dead, and nginx is quick to come back to who is not."""
    down = " down" if resting else ""
    return f"    server {member.address} max_fails=0{more}{down};  # {member.id}\n"


def stand_in(main: Path, file: Path, staged: Path, folder: Path) -> Path:
    """A copy of the configuration that includes ``staged`` where the real one includes ``file``,
    in ``folder``; its main file. Relative names mean the same in it. Raises `OutOfStep` where the
    configuration does not include the file at all.
    """
    for each in main.parent.iterdir():  # relative names are relative to the main file's directory
        (folder / each.name).symlink_to(each)
    copier = _Copier(main.parent, file.resolve(), staged, folder)
    text, found = copier.rewritten(main, 0)
    if not found:
        raise OutOfStep(
            f"{main} does not include {file}; put `include {file};` into its http {{ }}"
        )
    copy = folder / main.name
    copy.unlink(missing_ok=True)
    copy.write_text(text, encoding="utf-8", errors="surrogateescape")
    return copy


class _Copier:
    def __init__(self, root: Path, file: Path, staged: Path, folder: Path) -> None:
        self._root = root
        self._file = file
        self._staged = staged
        self._folder = folder
        self._copies = 0

    def rewritten(self, source: Path, depth: int) -> tuple[str, bool]:
        """The text of a file with its includes redirected; whether ``file`` is among them."""
        found = False

        def redirect(match: re.Match[str]) -> str:
            nonlocal found
            what = match["what"]
            if what is None:
                return match[0]
            names, here = self._included(what.strip("\"'"), depth)
            found = found or here
            return " ".join(f"include {name};" for name in names) if here else match[0]

        text = source.read_text(encoding="utf-8", errors="surrogateescape")
        return _INCLUDE.sub(redirect, text), found

    def _included(self, pattern: str, depth: int) -> tuple[list[str], bool]:
        """What the directive means, file by file; whether ``file`` is one of them, or below."""
        names, here = [], False
        for each in self._matching(pattern):
            if each.resolve() == self._file:
                names.append(str(self._staged))
                here = True
                continue
            text, below = self.rewritten(each, depth + 1) if depth < _MOST_DEEP else ("", False)
            if below:
                self._copies += 1
                copy = self._folder / f".included-{self._copies}"
                copy.write_text(text, encoding="utf-8", errors="surrogateescape")
                here = True
                each = copy
            names.append(str(each))
        return names, here

    def _matching(self, pattern: str) -> Iterator[Path]:
        """In nginx's order; the file that is kept among them even before it is there."""
        whole = Path(self._root, pattern)
        found = sorted(whole.parent.glob(whole.name)) if whole.parent.is_dir() else []
        own = fnmatchcase(str(self._file.name), whole.name) and (
            whole.parent.resolve() == self._file.parent
        )
        if own and not any(each.resolve() == self._file for each in found):
            found = sorted((*found, self._file))
        return iter(found)
