"""A supervisor and real children, killed, hung and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.clock import SystemClock
from crawler.coordination.catalog import Load
from crawler.model import LiveRecord, State
from crawler.worker.supervisor import Supervisor
from tests.integration.worker.scene import (
    PAGE,
    PARENT,
    FakeSession,
    Scene,
    Witness,
    end,
    gone,
    playing,
    settings,
)


@contextmanager
def crowded(pid: int) -> Iterator[None]:
    """The process gets a twentieth of one processor, next to two that take all there is."""
    processor = {min(os.sched_getaffinity(0))}
    os.sched_setaffinity(pid, processor)
    os.setpriority(os.PRIO_PROCESS, pid, 10)
    crowd = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]
    try:
        for each in crowd:
            os.sched_setaffinity(each.pid, processor)
        yield
    finally:
        for each in crowd:
            each.kill()
            each.wait()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with playing(tmp_path) as scene:
        yield scene


@asynccontextmanager
async def another_supervisor(path: Path) -> AsyncIterator[tuple[int, int]]:
    """The pids of a supervisor in a process of its own and of its child, which runs a job."""
    witness = Witness(path / "witness")
    hearing = asyncio.create_task(witness.hear())
    parent = await asyncio.create_subprocess_exec(sys.executable, str(PARENT), witness.path)
    try:
        claim = await witness.see("claim")
        yield parent.pid, claim["pid"]
    finally:
        if parent.returncode is None:
            parent.kill()
        await parent.wait()
        await end(hearing)
        witness.close()


async def test_what_is_assigned_runs_and_is_reported(scene: Scene) -> None:
    token = scene.catalog.assign("shop", {"do": "crawl", "active": 5})
    claim = await scene.witness.see("claim", name="shop")
    assert claim["revision"] == token
    assert await scene.writer.see_status("shop", State.RUNNING) == ""
    assert scene.writer.statuses == [("shop", State.RUNNING, "", token)]
    await scene.writer.see(lambda: Load(5, 1) in scene.writer.loads)


async def test_it_knows_how_a_job_goes(scene: Scene) -> None:
    assert scene.boss.live("shop") is None
    scene.catalog.assign("shop", {"do": "crawl", "active": 5, "waiting": "reading robots.txt"})
    await scene.writer.see_status("shop", State.RUNNING)
    for _ in range(200):
        if scene.boss.live("shop") is not None:
            break
        await asyncio.sleep(0.05)
    assert scene.boss.live("shop") == LiveRecord(5, 2.5, "reading robots.txt")


async def test_what_is_taken_away_stops_in_order(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "crawl"})
    await scene.witness.see("claim")
    scene.catalog.take("shop")
    await scene.witness.see("cancelled", name="shop")
    await scene.writer.see(lambda: Load(0, 0) in scene.writer.loads)
    assert len(scene.witness.told("ready")) == 1


async def test_a_finished_run_is_reported_and_not_begun_again(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "finish"})
    assert await scene.writer.see_status("shop", State.FINISHED) == "nothing pending"
    scene.catalog.assign("other", {"do": "crawl"})
    await scene.witness.see("claim", name="other")
    assert len(scene.witness.told("claim", name="shop")) == 1


async def test_a_new_run_of_a_finished_resource_starts(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "finish"})
    await scene.writer.see_status("shop", State.FINISHED)
    token = scene.catalog.assign("shop", {"do": "finish"}, run=2)
    await scene.witness.see("claim", revision=token)


async def test_a_job_that_cannot_go_on_is_an_error_until_its_definition_changes(
    scene: Scene,
) -> None:
    scene.catalog.assign("shop", {"do": "reject"})
    assert "rules.0.css" in await scene.writer.see_status("shop", State.ERROR)
    scene.catalog.define("shop", {"do": "crawl"})
    await scene.witness.see("claim", count=2)
    await scene.writer.see_status("shop", State.RUNNING)


async def test_a_job_whose_store_was_away_is_tried_again(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "away"})
    assert "database away" in await scene.writer.see_status("shop", State.ASSIGNED)
    await scene.writer.see_status("shop", State.RUNNING)
    assert len(scene.witness.told("claim")) == 2


async def test_a_changed_definition_is_a_new_crawl_under_the_same_token(scene: Scene) -> None:
    token = scene.catalog.assign("shop", {"do": "crawl"})
    await scene.witness.see("claim")
    scene.catalog.define("shop", {"do": "finish"})
    await scene.witness.see("claim", count=2, revision=token)
    await scene.writer.see_status("shop", State.FINISHED)


async def test_a_risen_token_replaces_the_crawl_after_it_stopped(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "crawl"})
    await scene.witness.see("claim")
    token = scene.catalog.assign("shop", {"do": "crawl"})
    await scene.witness.see("claim", revision=token)
    assert [each["event"] for each in scene.witness.events] == [
        "ready",
        "claim",
        "cancelled",
        "claim",
    ]


async def test_a_fenced_job_is_never_started_under_the_same_token(scene: Scene) -> None:
    scene.catalog.assign("shop", {"do": "fence"})
    await scene.witness.see("claim")
    scene.catalog.assign("other", {"do": "crawl"})
    await scene.writer.see_status("other", State.RUNNING)  # so the fenced report was heard, too
    scene.catalog.define("shop", {"do": "crawl"})
    (pid,) = scene.boss.child_pids
    os.kill(pid, signal.SIGKILL)
    await scene.witness.see("claim", name="other", count=2)
    assert len(scene.witness.told("claim", name="shop")) == 1
    assert not [each for each in scene.writer.statuses if each[0] == "shop"]
    token = scene.catalog.assign("shop", {"do": "crawl"})
    await scene.witness.see("claim", name="shop", revision=token)


class TestDeathOfAChild:
    async def test_its_jobs_run_again_in_time_with_new_claims(self, scene: Scene) -> None:
        tokens = {name: scene.catalog.assign(name, {"do": "crawl"}) for name in ("a", "b", "c")}
        for name in tokens:
            await scene.witness.see("claim", name=name)
        scene.boss.tell({"word": "hello"})
        await scene.witness.see("heard hello")
        (pid,) = scene.boss.child_pids
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        for name, token in tokens.items():
            claim = await scene.witness.see("claim", name=name, revision=token, count=2)
            assert claim["pid"] != pid
            assert claim["strikes"] == []
        assert time.monotonic() - killed <= scene.session.ttl_s / 2
        await scene.witness.see("heard hello", count=2)  # its successor has been told, too

    async def test_the_page_it_parsed_gets_a_strike(self, scene: Scene) -> None:
        scene.catalog.assign("other", {"do": "crawl"})
        await scene.witness.see("claim", name="other")
        scene.catalog.assign("shop", {"do": "poison", "page": PAGE})
        claim = await scene.witness.see("claim", name="shop", count=2)
        assert claim["strikes"] == [[PAGE, "its process ended (SIGKILL)"]]
        other = await scene.witness.see("claim", name="other", count=2)
        assert other["strikes"] == []

    async def test_a_strike_is_delivered_until_a_start_is_confirmed(
        self, scene: Scene, tmp_path: Path
    ) -> None:
        script = {"do": "poison", "page": PAGE, "die_once": str(tmp_path / "died")}
        scene.catalog.assign("shop", script)
        for count in (2, 3):
            claim = await scene.witness.see("claim", count=count)
            assert claim["strikes"] == [[PAGE, "its process ended (SIGKILL)"]]
        scene.catalog.assign("other", {"do": "crawl"})
        await scene.writer.see_status("other", State.RUNNING)  # so the confirmation was heard, too
        (pid,) = scene.boss.child_pids
        os.kill(pid, signal.SIGKILL)
        assert (await scene.witness.see("claim", name="shop", count=4))["strikes"] == []

    async def test_a_strike_outlives_the_job_that_hung_while_it_was_stopped(
        self, tmp_path: Path
    ) -> None:
        async with playing(tmp_path, stop_limit_s=1.5) as scene:
            scene.catalog.assign("shop", {"do": "hang", "page": PAGE})
            await scene.witness.see("parsing")
            scene.catalog.take("shop")  # it hangs, so its child dies over this
            await scene.writer.see(lambda: scene.writer.loads[-1:] == [Load(0, 0)])
            scene.catalog.assign("shop", {"do": "crawl"})
            claim = await scene.witness.see("claim", name="shop", count=2)
            assert claim["strikes"] == [[PAGE, "parse timeout"]]
            await scene.writer.see_status("shop", State.RUNNING)
            token = scene.catalog.assign("shop", {"do": "crawl"})
            assert (await scene.witness.see("claim", revision=token))["strikes"] == []

    async def test_strikes_of_a_deleted_resource_are_forgotten(self, tmp_path: Path) -> None:
        async with playing(tmp_path, stop_limit_s=1.5) as scene:
            scene.catalog.assign("shop", {"do": "hang", "page": PAGE})
            await scene.witness.see("parsing")
            del scene.catalog.entries["shop"]  # it hangs, so its child dies over this
            scene.catalog.publish()
            await scene.writer.see(lambda: scene.writer.loads[-1:] == [Load(0, 0)])
            scene.catalog.assign("other", {"do": "crawl"})
            await scene.writer.see_status("other", State.RUNNING)
            scene.catalog.assign("shop", {"do": "crawl"})  # the same ID here, a new one in truth
            claim = await scene.witness.see("claim", name="shop", count=2)
            assert claim["strikes"] == []

    @pytest.mark.threat(15)
    async def test_a_hung_child_is_killed_and_its_jobs_go_on(self, scene: Scene) -> None:
        scene.catalog.assign("shop", {"do": "hang", "page": PAGE})
        parsing = await scene.witness.see("parsing")
        hung = time.monotonic()
        claim = await scene.witness.see("claim", count=2)
        assert claim["strikes"] == [[PAGE, "parse timeout"]]
        assert claim["pid"] != parsing["pid"]
        assert time.monotonic() - hung <= 2.0 + 2.0 + 0.5  # the limit, a replacement, a tick

    async def test_one_that_gets_no_processor_is_not_taken_for_hung(self, scene: Scene) -> None:
        scene.catalog.assign("other", {"do": "crawl"})
        pid = (await scene.witness.see("claim"))["pid"]
        with crowded(pid):
            scene.catalog.assign("shop", {"do": "toil", "page": PAGE})
            await scene.witness.see("parsing", within_s=30.0)
            began = time.monotonic()
            await scene.witness.see("parsed", within_s=60.0)
            assert time.monotonic() - began > 2.0 + 0.5  # the limit, and a tick
        assert len(scene.witness.told("claim", name="shop")) == 1

    @pytest.mark.threat(15)
    async def test_a_swollen_child_is_killed(self, tmp_path: Path) -> None:
        async with playing(tmp_path, child_memory_bytes=200 << 20, parse_limit_s=20.0) as scene:
            scene.catalog.assign("shop", {"do": "swell", "page": PAGE})
            claim = await scene.witness.see("claim", count=2)
            ((page, reason),) = claim["strikes"]
            assert page == PAGE
            assert reason.startswith("memory limit (")

    async def test_a_job_that_swallows_its_cancellation_costs_the_child(self, scene: Scene) -> None:
        scene.catalog.assign("shop", {"do": "stubborn"})
        scene.catalog.assign("other", {"do": "crawl"})
        await scene.witness.see("claim", name="other")
        scene.catalog.take("shop")
        await scene.witness.see("claim", name="other", count=2)
        assert len(scene.witness.told("claim", name="shop")) == 1

    async def test_a_child_that_never_comes_up_is_told_of_and_tried_again(
        self, tmp_path: Path
    ) -> None:
        async with playing(tmp_path, broken=True) as scene:
            scene.catalog.assign("shop", {"do": "crawl"})
            reason = await scene.writer.see_status("shop", State.ASSIGNED)
            assert reason == "its process ended (exit 1); starting again"

    async def test_it_ends_with_a_killed_supervisor(self, tmp_path: Path) -> None:
        async with another_supervisor(tmp_path) as (parent, child):
            os.kill(parent, signal.SIGKILL)
            assert await gone(child, within_s=10.0)

    async def test_a_pause_of_the_supervisor_is_not_taken_for_silence(self, tmp_path: Path) -> None:
        async with another_supervisor(tmp_path) as (parent, child):
            os.kill(parent, signal.SIGSTOP)
            assert not await gone(child, within_s=2.5)  # longer than the parse limit
            os.kill(parent, signal.SIGCONT)
            assert not await gone(child, within_s=1.0)

    async def test_a_terminal_signal_does_not_end_it(self, scene: Scene) -> None:
        scene.catalog.assign("shop", {"do": "crawl"})
        claim = await scene.witness.see("claim")
        os.kill(claim["pid"], signal.SIGINT)
        os.kill(claim["pid"], signal.SIGTERM)
        scene.catalog.assign("other", {"do": "crawl"})
        assert (await scene.witness.see("claim", name="other"))["pid"] == claim["pid"]


class TestSessions:
    async def test_without_one_what_runs_goes_on_and_nothing_starts(self, scene: Scene) -> None:
        scene.catalog.assign("shop", {"do": "crawl"})
        claim = await scene.witness.see("claim")
        await scene.lose_session()
        scene.catalog.assign("other", {"do": "crawl"})
        os.kill(claim["pid"], signal.SIGKILL)
        await scene.witness.see("claim", name="shop", count=2)
        assert not scene.witness.told("claim", name="other")
        scene.follow()
        await scene.witness.see("claim", name="other")
        assert len(scene.witness.told("claim", name="shop")) == 2

    async def test_a_lease_without_time_left_starts_nothing(self, scene: Scene) -> None:
        scene.session.left_s = 0.0
        scene.catalog.assign("shop", {"do": "crawl"})
        await scene.lose_session()
        assert scene.boss.load.resources == 0

    async def test_what_is_not_ours_any_more_after_it_is_stopped(self, scene: Scene) -> None:
        scene.catalog.assign("shop", {"do": "crawl"})
        await scene.witness.see("claim")
        await scene.lose_session()
        scene.catalog.take("shop")
        scene.catalog.me = replace(scene.catalog.me, revision=scene.catalog.publish())
        scene.follow()
        await scene.witness.see("cancelled", name="shop")

    async def test_what_is_not_restamped_in_time_is_stopped(self, scene: Scene) -> None:
        scene.session = FakeSession(ttl_s=1)
        for name in ("shop", "other"):
            scene.catalog.assign(name, {"do": "crawl"})
            await scene.witness.see("claim", name=name)
        await scene.lose_session()
        scene.catalog.me = replace(scene.catalog.me, revision=scene.catalog.publish())
        back = time.monotonic()
        scene.follow()
        token = scene.catalog.assign("other", {"do": "crawl"})
        await scene.witness.see("claim", name="other", revision=token)
        await scene.witness.see("cancelled", name="shop")
        assert time.monotonic() - back >= 2.0
        assert len(scene.witness.told("cancelled", name="other")) == 1

    async def test_an_outage_policy_of_stop_stops(self, tmp_path: Path) -> None:
        async with playing(tmp_path, outage_policy="stop") as scene:
            scene.catalog.assign("shop", {"do": "crawl"})
            await scene.witness.see("claim")
            await scene.lose_session()
            await scene.witness.see("cancelled", name="shop")

    async def test_a_status_that_was_not_written_is_written_later(self, scene: Scene) -> None:
        scene.writer.away = True
        scene.catalog.assign("shop", {"do": "finish"})
        await scene.witness.see("claim")
        await scene.lose_session()
        scene.writer.away = False
        scene.follow()
        await scene.writer.see_status("shop", State.FINISHED)


class TestDraining:
    async def test_all_jobs_stop_in_order_and_in_time(self, tmp_path: Path) -> None:
        async with playing(tmp_path, processes=2) as scene:
            for name in ("a", "b", "c"):
                scene.catalog.assign(name, {"do": "crawl"})
                await scene.witness.see("claim", name=name)
            begun = time.monotonic()
            await scene.boss.drain()
            await scene.lose_session()
            await end(scene.living)
            assert time.monotonic() - begun < 2.0
            await scene.witness.see("cancelled", count=3)
            await scene.witness.see("closed", count=2)
            scene.catalog.assign("d", {"do": "crawl"})
            assert scene.boss.load == Load(0, 0)

    async def test_a_hung_child_does_not_delay_it(self, tmp_path: Path) -> None:
        async with playing(tmp_path, parse_limit_s=30.0) as scene:
            scene.catalog.assign("shop", {"do": "hang"})
            await scene.witness.see("parsing")
            begun = time.monotonic()
            await scene.boss.drain()
            await end(scene.living)
            assert time.monotonic() - begun < 2.5


async def test_hundreds_assigned_at_once_are_spread_and_run(tmp_path: Path) -> None:
    async with playing(tmp_path, processes=2) as scene:
        for n in range(300):
            scene.catalog.assign(f"r{n}", {"do": "crawl"})
        await scene.witness.see("claim", count=300, within_s=30.0)
        per_child = [len(scene.witness.told("claim", pid=pid)) for pid in scene.boss.child_pids]
        assert per_child == [150, 150]
        await scene.writer.see(lambda: len(scene.writer.statuses) == 300)


async def test_a_crashing_job_becomes_an_error_and_leaves_the_others_alone(scene: Scene) -> None:
    scene.catalog.assign("other", {"do": "crawl"})
    scene.catalog.assign("shop", {"do": "bug"})
    reason = await scene.writer.see_status("shop", State.ERROR, within_s=30.0)
    assert "ZeroDivisionError" in reason
    assert len(scene.witness.told("claim", name="shop")) == 5
    assert len(scene.witness.told("claim", name="other")) == 1


async def test_it_is_ready_with_its_first_child_and_the_others_follow(tmp_path: Path) -> None:
    async with playing(tmp_path, processes=3) as scene:
        await scene.boss.ready()
        assert len(scene.boss.child_pids) < 3, "all came up at once"
        for _ in range(600):
            if len(scene.boss.child_pids) == 3:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the others did not come up")


async def test_a_child_that_never_comes_up_is_not_waited_for_for_ever() -> None:
    stuck = (sys.executable, "-c", "import time; time.sleep(60)")
    boss = Supervisor(settings(start_limit_s=1.0), stuck, {}, SystemClock())
    living = asyncio.create_task(boss.run_children())
    try:
        began = time.monotonic()
        async with asyncio.timeout(10):
            await boss.ready()
        assert time.monotonic() - began >= 1.0
    finally:
        await end(living)
    assert boss.child_pids == ()
