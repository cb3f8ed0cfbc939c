"""One file and what stands behind it: staged, checked, swapped, verified, or put back."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler import failpoint
from crawler.edge.commands import run_command
from crawler.edge.documents import Document
from crawler.edge.files import Lock, stage, swap
from crawler.edge.target import Applied, FileTarget, Live
from crawler.errors import Conflict, OutcomeUnknown, OutOfStep
from tests.fakes.clock import SleepClock


class Balancer(Document):
    """Takes any file but those that say ``bad``, ``refused`` and ``dead``, each in its own way."""

    def __init__(self, file: Path) -> None:
        super().__init__(lambda _: self.next, ())
        self.file = file
        self.next = b""
        self.live = b""
        self.takes = 0

    async def check(self, staged: Path) -> None:
        refuse_bad(staged)

    async def take(self, content: bytes) -> Applied:
        self.takes += 1
        if b"refused" in content:
            raise OutOfStep("the reload says no")
        if b"dead" not in content:
            self.live = self.file.read_bytes()
        return Applied.RELOADED

    async def state(self, content: bytes) -> Live:
        return Live.SAME if self.live == content else Live.OTHER


def refuse_bad(staged: Path) -> None:
    if b"bad" in staged.read_bytes():
        raise OutOfStep("the check says no")


@pytest.fixture
def balancer(tmp_path: Path) -> Balancer:
    return Balancer(tmp_path / "list")


@pytest.fixture
def target(balancer: Balancer, tmp_path: Path) -> Callable[[], FileTarget]:
    def build() -> FileTarget:
        kept = tmp_path / "kept"
        return FileTarget("t", balancer.file, balancer, kept, SleepClock(), verify_s=0.1)

    return build


async def test_the_same_bytes_do_nothing(
    balancer: Balancer, target: Callable[[], FileTarget]
) -> None:
    balancer.next, one = b"1", target()
    assert await one.apply({}) is Applied.RELOADED
    before = balancer.file.stat().st_ino
    assert await one.apply({}) is Applied.UNCHANGED
    assert (balancer.file.stat().st_ino, balancer.takes) == (before, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"bad", "the check says no"),
        (b"refused", "the reload says no; the last good one is back and live"),
        (b"dead", "did not come up within .*; the last good one is back and live"),
    ],
)
async def test_what_does_not_work_is_put_back_and_tried_again(
    balancer: Balancer, target: Callable[[], FileTarget], content: bytes, said: str
) -> None:
    balancer.next, one = b"good", target()
    await one.apply({})
    balancer.next = content
    for _ in range(2):
        with pytest.raises(OutOfStep, match=said):
            await one.apply({})
        assert balancer.file.read_bytes() == balancer.live == b"good"
    balancer.next = b"better"
    assert await one.apply({}) is Applied.RELOADED
    assert balancer.live == b"better"


async def test_what_was_there_before_the_edge_is_put_back_as_well(
    balancer: Balancer, target: Callable[[], FileTarget]
) -> None:
    balancer.file.write_bytes(b"by hand")
    balancer.next, balancer.live = b"refused", b"by hand"
    with pytest.raises(OutOfStep, match="the last good one is back and live"):
        await target().apply({})
    assert balancer.file.read_bytes() == b"by hand"


@pytest.mark.parametrize("place", ["edge.before_swap", "edge.after_swap"])
async def test_a_death_in_between_is_made_up_for(
    balancer: Balancer, target: Callable[[], FileTarget], place: str
) -> None:
    balancer.next, one = b"1", target()
    await one.apply({})
    balancer.next = b"2"
    failpoint.arm(f"{place}=fail@1")
    try:
        with pytest.raises(OutcomeUnknown):
            await one.apply({})
    finally:
        failpoint.arm("")
    one.close()
    assert balancer.live == b"1"
    assert await target().apply({}) is Applied.RELOADED
    assert balancer.live == balancer.file.read_bytes() == b"2"


async def test_a_dry_run_shows_and_checks_and_changes_nothing(
    balancer: Balancer, target: Callable[[], FileTarget]
) -> None:
    balancer.next, one = b"1\n", target()
    await one.apply({})
    balancer.next = b"2\n"
    diff = await target().preview({})  # although another has the lock
    assert "-1\n+2\n" in diff
    assert balancer.file.read_bytes() == b"1\n"
    balancer.next = b"bad"
    with pytest.raises(OutOfStep, match="the check says no"):
        await one.preview({})


async def test_one_writer_at_a_time(balancer: Balancer, target: Callable[[], FileTarget]) -> None:
    balancer.next, one, other = b"1", target(), target()
    await one.apply({})
    with pytest.raises(Conflict, match=rf"another crawler edge \(pid {os.getpid()}\)"):
        await other.apply({})
    one.close()
    assert await other.apply({}) is Applied.UNCHANGED


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("old")
    file.chmod(0o640)
    swap(stage(file, b"new"), file)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o640)
    swap(stage(file, b"newer", 0o600), file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lock = Lock(file)
    lock.take()
    lock.release()
    assert {each.name for each in tmp_path.iterdir()} == {"list", ".list.lock"}


async def test_commands_have_an_end_and_their_words_are_told(tmp_path: Path) -> None:
    assert "hello" in await run_command(["echo", "hello"], 5.0)
    with pytest.raises(OutOfStep, match=r"failed \(3\): oh no"):
        await run_command(["sh", "-c", "echo oh no >&2; exit 3"], 5.0)
    with pytest.raises(OutOfStep, match=r"did not end within 0\.2 s"):
        await run_command(["sh", "-c", "sleep 60 & sleep 60"], 0.2)
    with pytest.raises(OutOfStep, match="cannot run"):
        await run_command([str(tmp_path / "nothing")], 1.0)
    # What it leaves running does not keep us waiting.
    await run_command(["sh", "-c", "sleep 3 &"], 2.0)
