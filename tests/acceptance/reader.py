"""The code blocks of a Markdown file, and a reader who does what they say.

A comment before a block says what is done with it:

``<!-- run -->``                       its lines are typed, each must succeed
``<!-- run: crawler a, crawler b -->`` those of its lines that begin so
``<!-- run until: TEXT -->``           it goes on beside the rest, which waits until it prints TEXT
``<!-- run once finished: NAME -->``   the same as run, when the crawl of that name is over
``<!-- file: NAME -->``                it is what stands in that file
``<!-- prints -->``                    the block before it printed these lines
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.cluster import Process

_MARK = re.compile(r"\s*<!-- (run|file|prints)(?: (until|once finished))?(?:: (.+))? -->\s*")
_FENCE = re.compile(r"( *)```(\w*)\s*")
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """``mark`` is run, file, prints or "": nothing is done with it; ``when`` is until, once
    finished or ""; ``what`` is what the comment adds."""

    language: str
    text: str
    where: str  # file:line
    mark: str = ""
    when: str = ""
    what: str = ""


def blocks(path: Path) -> Iterator[Block]:
    """All of a file, fenced or indented (then as sh), in order."""
    lines = path.read_text().splitlines()
    marked: tuple[str, ...] = ()
    at = 0
    while at < len(lines):
        begin, fence = at, _FENCE.fullmatch(lines[at])
        if found := _MARK.fullmatch(lines[at]):
            marked = tuple(group or "" for group in found.groups())
        elif fence is not None:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
            text = "\n".join(line.removeprefix(fence[1]) for line in lines[at + 1 : end])
            yield _block(fence[2], text, f"{path}:{begin + 1}", marked)
            marked, at = (), end
        elif lines[at].startswith("    ") and not (lines[at - 1].strip() if at else ""):
            while at + 1 < len(lines) and lines[at + 1].startswith("    "):
                at += 1
            text = "\n".join(line.removeprefix("    ") for line in lines[begin : at + 1])
            yield _block("sh", text, f"{path}:{begin + 1}", marked)
            marked = ()
        elif lines[at].strip():
            assert not marked, f"{path}:{begin + 1}: a mark without a block"
        at += 1


def _block(language: str, text: str, where: str, marked: tuple[str, ...]) -> Block:
    return Block(language, text + "\n", where, *(marked or ("", "", "")))


class Reader:
    """Follows documents in a folder of their own. ``words`` are replaced in what is typed, so that
    addresses in a document are those of servers here."""

    def __init__(self, folder: Path, words: dict[str, str], **environment: str) -> None:
        self._folder = folder
        self._words = words
        here = str(Path(sys.executable).parent)
        self._environment = {"PATH": f"{here}:{os.environ['PATH']}", **environment}
        self._beside: dict[str, Process] = {}
        self._printed = ""

    def follow(self, path: Path, folder: str) -> None:
        """Do what a document says, in a folder of its own below ours."""
        place = self._folder / folder
        place.mkdir()
        for block in blocks(path):
            self._do(block, place)

    def type(self, block: Block) -> None:
        """Do what one block says, and nothing around it."""
        self._do(block, self._folder)

    def _do(self, block: Block, place: Path) -> None:
        text = self._here(block.text)
        match block.mark, block.when:
            case "file", _:
                (place / block.what).write_text(text)
            case "prints", _:
                printed = {" ".join(line.split()) for line in self._printed.splitlines()}
                missing = [
                    each for each in text.splitlines() if " ".join(each.split()) not in printed
                ]
                assert not missing, f"{block.where}: {missing} not in:\n{self._printed}"
            case "run", "until":
                self._start(text, block.what, place)
            case "run", when:
                if when:
                    self._wait_finished(block.what, place)
                self._type(_chosen(text, "" if when else block.what), block.where, place)

    def _here(self, text: str) -> str:
        for word, here in self._words.items():
            text = text.replace(word, here)
        # The pace is for strangers.
        return re.sub(r"^(crawler run \S+)", r"\1 -s download_delay=0", text, flags=re.M)

    def _type(self, script: str, where: str, place: Path) -> None:
        done = self._run(["bash", "-e", "-o", "pipefail", "-c", script], place)
        self._printed = done.stdout
        assert done.returncode == 0, f"{where}:\n{script}\n{done.stdout}"

    def _run(self, arguments: list[str], place: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            cwd=place,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def _start(self, script: str, text: str, place: Path) -> None:
        program = " ".join(script.split()[:2])
        if program in self._beside:
            return  # of another document
        log = place / f"{len(self._beside)}.log"
        line = f"cd {place} && exec {script}"
        self._beside[program] = Process(program, ["bash", "-c", line], log, **self._environment)
        self._wait(lambda: text in self._beside[program].text(), f"{text!r} of {program}")

    def _wait_finished(self, name: str, place: Path) -> None:
        def finished() -> bool:
            return "finished" in self._run(["crawler", "show", name], place).stdout

        self._wait(finished, f"end of {name}")

    def _wait(self, seen: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not seen():
            assert time.monotonic() < deadline, f"no {what} within {PATIENCE_S} s"
            time.sleep(0.1)

    def leave(self) -> dict[str, int]:
        """Ctrl-C in every terminal, the latest first; what each program then answered."""
        codes = {}
        for program, process in reversed(self._beside.items()):
            process.signal_group(signal.SIGINT)
            codes[program] = process.wait(PATIENCE_S)
        return codes

    def kill(self) -> None:
        """Whatever is left, at the end of a test that failed."""
        for process in self._beside.values():
            process.kill_group()


def _chosen(text: str, beginnings: str) -> str:
    if not beginnings:
        return text
    wanted = tuple(beginnings.split(", "))
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(wanted))
