"""What commands ask of a cluster, print, and end with."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crawler.access import Access, Role
from crawler.cli.calls import connect
from crawler.cli.main import run_command
from crawler.clock import SystemClock
from crawler.engine.urls import fingerprint, page_key
from crawler.errors import Unavailable
from crawler.model import PageState, Request, Visit
from crawler.store import open_store
from tests.contract.rows import seeded
from tests.unit.cli.api import ITEM, PAGE, RESOURCE, Api, serve_api


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with serve_api() as serving:
        monkeypatch.setenv("CRAWLER_MASTER", serving.url)
        yield serving


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_one(*arguments: str) -> Ended:
        code = run_command(arguments)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run_one


@pytest.fixture
def watch(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a person at a wide terminal."""

    def run_one(*arguments: str) -> Ended:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return run(*arguments)

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return run_one


def plain(text: str) -> list[str]:
    """Lines without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def test_names_when_piped(api: Api, run: Run) -> None:
    assert run("ls") == Ended(0, "shop\n", "")
    assert run("nodes") == Ended(0, "master-1\nworker-2\n", "")
    line = "https://shop.example/2\tfailed\t500\t3\tHTTP 500\n"
    assert run("pages", "shop") == Ended(0, line, "")


def test_tables_for_people(api: Api, watch: Run) -> None:
    head, shop = plain(watch("ls").out)
    assert " ".join(head.split()) == "NAME STATE WORKER DONE KNOWN FAILED ITEMS REASON"
    assert " ".join(shop.split()) == "shop running worker-2 1,000 1,200 2 990"
    _, leader, worker = plain(watch("nodes").out)
    assert "leader" in leader
    assert "1m15s" in leader
    assert "worker, drained, foreign, unsigned, no store" in worker
    assert "HTTP 500" in watch("pages", "shop").out
    assert "claimed" in watch("events").out


def test_json_when_asked(api: Api, run: Run) -> None:
    assert json.loads(run("ls", "--json").out)[0]["progress"]["done"] == 1000
    assert json.loads(run("show", "shop", "--json").out)["state"] == "running"
    assert json.loads(run("nodes", "--json").out)[0]["leader"] is True
    assert json.loads(run("pages", "shop", "--json").out)[0]["status"] == 500
    assert json.loads(run("events", "shop", "--json").out)[0]["name"] == "shop"


def test_show_tells_all(api: Api, run: Run) -> None:
    out = run("show", "shop").out
    for said in ("running", "worker-2 at 127.0.0.1:9089", "least loaded", "198 pending", "start_"):
        assert said in out


def test_show_tells_how_it_goes_and_which_host_waits_why(api: Api, run: Run) -> None:
    hosts = [
        {"host": "shop.example", "queued": 1200, "reason": "next in 0.7 s, because Crawl-delay"},
        {"host": "quick.example", "queued": 3, "reason": ""},
    ]
    live = {"active": 3, "pages_per_s": 41.52, "waiting": "", "hosts": hosts, "latency_s": 0.25}
    part = {"part": 0, "node": "go.micro.server.worker-2", "live": live, "trouble": ""}
    api.answers["GET /crawler/resource/shop/live"] = {"parts": [part]}
    out = run("show", "shop").out
    assert "now        41.5 pages/s, 3 requests under way\n" in out
    assert "at shop.example 1,200 requests at hand; next in 0.7 s, because Crawl-delay\n" in out
    assert "quick.example" not in out
    assert json.loads(run("show", "shop", "--json").out)["live"] == [part]
    gone = {**part, "live": None, "trouble": "cannot connect to 127.0.0.1:9089"}
    api.answers["GET /crawler/resource/shop/live"] = {"parts": [gone]}
    assert "now        unknown: cannot connect to 127.0.0.1:9089\n" in run("show", "shop").out


def test_a_state_that_says_it_all_is_not_said_twice(api: Api, run: Run, watch: Run) -> None:
    finished = {**RESOURCE, "run": 3, "state": "finished", "reason": "finished"}
    api.answers["GET /crawler/resource/shop"] = finished
    api.answers["GET /crawler/resource"] = {"resources": [finished], "next": ""}
    stopped = {**RESOURCE["progress"], "run": 2}
    runs = [{**stopped, "run": 1, "finished": "max_pages"}, stopped, {**stopped, "run": 3}]
    api.answers["GET /crawler/resource/shop/runs"] = {"runs": runs}
    lines = run("show", "shop").out.splitlines()
    assert "state      finished" in lines
    assert "run 1      1,000 pages, 990 items; max_pages" in lines
    assert "run 2      1,000 pages, 990 items; stopped" in lines
    assert plain(watch("ls").out)[1].count("finished") == 1


RUNS: dict[str, object] = {
    "runs": [
        {**RESOURCE["progress"], "run": 1, "finished": "finished", "started_at": 1.0},
        {**RESOURCE["progress"], "run": 2, "due_at": 1795993200, "started_at": 1795993201.5},
    ],
    "next_due": 1796014800,
    "timezone": "Europe/Berlin",
}


def test_runs_say_when_they_were_due_and_when_the_next_is(api: Api, run: Run, watch: Run) -> None:
    api.answers["GET /crawler/resource/shop/runs"] = RUNS
    ended = run("runs", "shop")
    first, second = (line.split("\t") for line in ended.out.splitlines())
    assert (first[0], first[1], first[3], first[-1]) == ("1", "by hand", "-", "finished")
    assert second[:2] == ["2", "2026-11-30 00:00:00 Europe/Berlin"]
    assert second[4:] == ["1,000", "700", "990", "2", "-"]
    assert ended.err == "next: 2026-11-30 06:00:00 Europe/Berlin\n"
    told = json.loads(run("runs", "shop", "--json", "--limit", "1").out)
    assert [each["run"] for each in told["runs"]] == [2]
    assert told["next_due"] == 1796014800
    assert "STARTED" in watch("runs", "shop").out


def test_stats_are_figures_by_name(api: Api, run: Run, watch: Run) -> None:
    figures = {"downloader/response_count": 12345, "finish_reason": "a\x1bb"}
    api.answers["GET /crawler/resource/shop/stats"] = {"stats": figures}
    assert run("stats", "shop", "--run", "2").out.splitlines() == [
        "downloader/response_count\t12,345",
        "finish_reason\ta\N{REPLACEMENT CHARACTER}b",
    ]
    assert api.asked[-1][0].endswith("/stats?run=2")
    assert json.loads(run("stats", "shop", "--json").out) == figures
    assert "12,345" in watch("stats", "shop").out


def test_show_tells_the_schedule_and_the_next_run(api: Api, run: Run) -> None:
    schedule = {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "overlap": "queue"}
    definition = {**RESOURCE["definition"], "schedule": schedule}
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "definition": definition}
    api.answers["GET /crawler/resource/shop/runs"] = RUNS
    lines = run("show", "shop").out.splitlines()
    assert "schedule   0 6 * * *, Europe/Berlin, queue" in lines
    assert "next run   2026-11-30 06:00:00 Europe/Berlin" in lines
    api.answers["GET /crawler/resource/shop/runs"] = {"runs": []}  # paused, or an older master
    assert "next run" not in run("show", "shop").out


def test_filters_travel(api: Api, run: Run) -> None:
    run("ls", "--state", "paused")
    run("pages", "shop", "--status", "failed")
    run("pages", "shop", "--status", "404")
    asked = [call for call, _ in api.asked]
    assert "state=paused" in asked[0]
    assert "state=failed" in asked[1]
    assert "status=404" in asked[2]


@pytest.mark.parametrize(
    ("arguments", "call", "body"),
    [
        (("rm", "shop"), "DELETE /crawler/resource/shop", None),
        (("pause", "shop"), "POST /crawler/resource/shop/pause", None),
        (("resume", "shop"), "POST /crawler/resource/shop/resume", None),
        (("stop", "shop"), "POST /crawler/resource/shop/stop", None),
        (("start", "shop"), "POST /crawler/resource/shop/start", None),
        (("drain", "2"), "POST /crawler/node/go.micro.server.worker-2/drain", {"undo": False}),
        (
            ("drain", "worker-2", "--undo"),
            "POST /crawler/node/go.micro.server.worker-2/drain",
            {"undo": True},
        ),
    ],
)
def test_commands_become_calls(
    api: Api, run: Run, arguments: tuple[str, ...], call: str, body: object
) -> None:
    ended = run(*arguments)
    assert ended.code == 0
    assert ended.out == ""
    assert ended.err
    assert [each for each in api.asked if not each[0].startswith("GET ")] == [(call, body)]


def test_apply_a_file_with_settings(api: Api, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('start_urls = ["https://shop.example/"]')
    ended = run("apply", str(file), "-s", "download_delay=0.5", "-s", "max_pages=7")
    assert (ended.code, ended.out) == (0, "shop\n")
    assert "shop changed (running on worker-2)" in ended.err
    assert api.asked[1] == (
        "PUT /crawler/resource/shop",
        {"start_urls": ["https://shop.example/"], "download_delay": 0.5, "max_pages": 7},
    )


def test_apply_shows_the_difference(api: Api, watch: Run) -> None:
    out = watch("apply", "https://shop.example/", "--name", "shop", "-s", "depth_limit=3").out
    assert '\x1b[32m+  "depth_limit": 3,' in out
    assert "\x1b[31m" not in out


@pytest.mark.parametrize(("same", "said"), [(True, True), (False, False)])
def test_apply_shows_no_credentials_and_says_when_only_they_differ(
    api: Api, run: Run, tmp_path: Path, same: bool, said: bool
) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('start_urls = ["https://shop.example/"]\ncookies = { session = "q7" }\n')
    shown = {"cookies": {"session": "***"}, "start_urls": ["https://shop.example/"]}
    before = shown if same else RESOURCE["definition"]
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "definition": before}
    ended = run("apply", str(file))
    assert ended.code == 0
    assert "q7" not in ended.out + ended.err
    assert ("only values that are not shown differ" in ended.err) is said
    assert ('+  "cookies"' in ended.err) is not said
    assert api.asked[1][1]["cookies"] == {"session": "q7"}


def test_apply_a_new_site(api: Api, run: Run) -> None:
    api.answers["PUT /crawler/resource/new.example"] = {
        "id": "2", "name": "new.example", "assigned_node": "go.micro.server.worker-1",
        "address": "127.0.0.1:1", "created": True, "changed": True,
    }  # fmt: skip
    ended = run("apply", "https://new.example/", "--json")
    assert json.loads(ended.out)["created"] is True


def test_items_to_files(api: Api, run: Run, tmp_path: Path) -> None:
    line = {**ITEM["fields"], "_url": ITEM["url"], "_rule": "product", "_missing": ["sku"]}
    assert json.loads(run("items", "shop").out) == line
    for name in ("a.jsonl", "a.json", "a.csv"):
        ended = run("items", "shop", "-o", str(tmp_path / name))
        assert (ended.code, ended.out) == (0, "")
        assert ended.err.startswith("1 items in ")
    assert json.loads((tmp_path / "a.json").read_text()) == [line]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "a.json", "a.jsonl"]


def test_the_story_of_a_page(api: Api, run: Run) -> None:
    url = "https://shop.example/2"
    lines = run("pages", "shop", "--url", url, "--run", "2").out.splitlines()
    assert f"GET /crawler/resource/shop/url?url={url}&run=2" in api.asked[-1][0]
    assert lines[1:3] == [
        "state     failed (HTTP 500), in run 2",
        "found     on https://shop.example/, at depth 1",
    ]
    ends = [line.partition(":01 ")[2] or line.partition(":02 ")[2] for line in lines[3:5]]
    assert ends == [
        "no answer after 30.0 s at worker-2: timeout; to be tried again",
        "HTTP 500 after 100 ms at worker-1; given up",
    ]
    assert lines[5:] == ["run 1     failed HTTP 500"]
    assert json.loads(run("pages", "shop", "--url", url, "--json").out)["run"] == 2
    assert "leave --status" in run("pages", "shop", "--url", url, "--status", "404").err


def test_the_story_of_a_page_is_read_without_a_master(run: Run, tmp_path: Path) -> None:
    url, kept = "https://shop.example/9", f"sqlite://{tmp_path}/kept.db"

    async def crawl() -> None:
        store = await open_store(kept, SystemClock())
        page = Request(page_key("GET", url), url, "shop.example")
        frontier = await seeded(store, page)
        await frontier.commit([Visit(page, PageState.FAILED, "http 503", 503)])
        await store.close()

    asyncio.run(crawl())
    out = run("pages", "shop", "--url", url, "--store", kept).out
    assert "HTTP 503 at worker-1; given up" in out
    ended = run("pages", "shop", "--url", f"{url}9", "--store", kept)
    assert "the latest run does not know this URL" in ended.err


def test_a_page_that_was_asked_by_post_is_told_of_by_its_key(run: Run, tmp_path: Path) -> None:
    url, kept = "https://shop.example/9", f"sqlite://{tmp_path}/kept.db"
    body = b"q=1"

    async def crawl() -> None:
        store = await open_store(kept, SystemClock())
        key = fingerprint("POST", url, body)
        page = Request(key, url, "shop.example", method="POST", body=body)
        frontier = await seeded(store, page)
        await frontier.commit([Visit(page, PageState.FAILED, "http 503", 503)])
        await store.close()

    asyncio.run(crawl())
    ended = run("pages", "shop", "--url", url, "--store", kept)
    assert "what was asked by POST is found by the key" in ended.err
    (listed,) = json.loads(run("pages", "shop", "--store", kept, "--json").out)
    told = run("pages", "shop", "--key", listed["key"], "--store", kept).out
    assert f"url       {url} by POST\n" in told
    assert "HTTP 503 at worker-1; given up" in told
    for wrong in (["--key", "x"], ["--key", listed["key"], "--url", url]):
        assert run("pages", "shop", *wrong, "--store", kept).code == 2


def test_pages_to_files(api: Api, run: Run, tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        ended = run("pages", "shop", "-o", str(tmp_path / name))
        assert (ended.code, ended.out) == (0, "")
        assert ended.err == f"1 pages in {tmp_path / name}\n"
    assert json.loads((tmp_path / "a.jsonl").read_text()) == PAGE
    assert all("run=1" in call for call, _ in api.asked if "/pages" in call)


def test_an_export_goes_on_where_the_last_one_was(api: Api, run: Run, tmp_path: Path) -> None:
    cursor, file = tmp_path / "shop.cursor", tmp_path / "new.jsonl"
    for asked in ("since=&", "since=1:1&"):
        ended = run("items", "shop", "--since-last", str(cursor), "-o", str(file))
        assert ended.code == 0
        [call] = [call for call, _ in api.asked if "/export?" in call]
        assert asked in f"{call}&"
        assert cursor.read_text() == "1:1\n"
        api.asked.clear()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new.jsonl", "shop.cursor"]
    assert "--since 1:1" in run("items", "shop", "--since", "1:0").err
    assert run("items", "shop", "--since", "1:0", "--since-last", str(cursor)).code == 2


def test_a_cursor_stays_where_an_export_failed(api: Api, run: Run, tmp_path: Path) -> None:
    cursor = tmp_path / "shop.cursor"
    cursor.write_text("1:0\n")
    api.answers["GET /crawler/resource/shop/items"] = (404, {"code": 5, "message": "gone"})
    assert run("items", "shop", "--since-last", str(cursor)).code == 3
    assert cursor.read_text() == "1:0\n"
    cursor.write_bytes(b"\xff")
    assert run("items", "shop", "--since-last", str(cursor)).code == 2
    assert run("items", "shop", "--since-last", str(tmp_path / "no" / "cursor")).code == 2


def test_sinks_are_shown_with_what_is_left_and_why(api: Api, run: Run) -> None:
    sink = {
        "sink": "hook", "run": 1, "delivered": 900, "lag": 1090, "holder": "", "failures": 3,
        "trouble": "HTTP 503\x1b[2J", "delivered_at": 1.0,
    }  # fmt: skip
    definition = {**RESOURCE["definition"], "sinks": [{"name": "hook"}]}
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "definition": definition}
    api.answers["GET /crawler/resource/shop/sinks"] = {"sinks": [sink]}
    [line] = [line for line in run("show", "shop").out.splitlines() if line.startswith("sink hook")]
    assert "900 items delivered, 1,090 to go; failed 3 times: HTTP 503" in line
    assert "\x1b" not in line
    assert json.loads(run("show", "shop", "--json").out)["sinks"] == [sink]


def test_a_failed_export_leaves_the_old_file(api: Api, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("old")
    api.answers["GET /crawler/resource/shop/items"] = (404, {"code": 5, "message": "gone"})
    assert run("items", "shop", "-o", str(file)).code == 3
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    ended = run("items", "shop", "-o", str(tmp_path / "no" / "a.csv"))
    assert ended.code == 2
    assert "there is no directory" in ended.err
    assert not [call for call, _ in api.asked if "no" in call.partition("items")[2]]


def test_top_when_piped_is_one_answer(api: Api, run: Run) -> None:
    out = run("top", "--every", "0.2").out
    assert "master-1 leads" in out
    assert "1,000/1,200 pages" in out
    assert "PAGES/S" in out
    assert run("top", "shop", "--every", "0.2").code == 0


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, 2, "told so"),
        (403, 5, "told so"),
        (404, 3, "`crawler ls` shows what there is"),
        (409, 5, "told so"),
        (500, 4, "repeating the command is safe"),
    ],
)
def test_errors_are_one_line_with_a_code(
    api: Api, run: Run, status: int, code: int, said: str
) -> None:
    api.answers["POST /crawler/resource/shop/pause"] = (
        status,
        {"code": 2, "message": "told so", "details": []},
    )
    ended = run("pause", "shop")
    assert ended.code == code
    assert ended.out == ""
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_nobody_there() -> None:
    with (
        pytest.raises(Unavailable, match=r"`crawler up`.*--master URL"),
        connect("http://127.0.0.1:1", retry_for_s=0.0) as client,
    ):
        client.nodes()


def test_text_from_outside_cannot_command_the_terminal(api: Api, run: Run) -> None:
    api.answers["GET /crawler/resource/shop/events"] = {
        "events": [{"seq": 1, "at": 1.0, "kind": "x", "detail": "a\x1b[2Jb\nc", "node": ""}],
        "next": "",
    }
    out = run("events", "shop").out
    assert "\x1b" not in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("action", "changed", "said"),
    [
        ("pause", True, "shop paused; go on with `crawler resume shop`"),
        ("pause", False, "shop was paused; go on with `crawler resume shop`"),
        ("resume", True, "shop goes on with run 2 (running on worker-2)"),
        ("resume", False, "shop was not paused (running on worker-2)"),
        ("stop", True, "shop stopped in run 2; begin the next with `crawler start shop`"),
        (
            "stop",
            False,
            (
                "shop was over already, in run 2 (running on worker-2); "
                "begin the next with `crawler start shop`"
            ),
        ),
        (
            "start",
            True,
            "shop begins run 2 (running on worker-2); items of run 1: `crawler items shop --run 1`",
        ),
        (
            "start",
            False,
            "shop is in run 2 already (running on worker-2); `crawler stop shop` ends it",
        ),
    ],
)
def test_what_really_happened_is_told(
    api: Api, run: Run, action: str, changed: bool, said: str
) -> None:
    api.answers[f"POST /crawler/resource/shop/{action}"] = {"changed": changed, "run": 2}
    assert run(action, "shop") == Ended(0, "", said + "\n")


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("pending", "every live worker is drained", "(pending: every live worker is drained)"),
        (
            "assigned",
            "waiting for go.micro.server.worker-2 to begin",
            "(assigned: waiting for worker-2 to begin)",
        ),
        ("error", "no such host", "(error: no such host)"),
        ("finished", "finished", "(finished)"),
    ],
)
def test_a_change_is_told_with_how_the_crawl_stands_then(
    api: Api, run: Run, state: str, reason: str, said: str
) -> None:
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "state": state, "reason": reason}
    assert run("resume", "shop").err == f"shop goes on with run 2 {said}\n"
    assert f"shop changed {said}" in run("apply", "https://x.example/", "--name", "shop").err


def test_a_change_that_was_made_is_told_though_nobody_answers_then(api: Api, run: Run) -> None:
    del api.answers["GET /crawler/resource/shop"]
    assert run("resume", "shop") == Ended(0, "", "shop goes on with run 2\n")


@pytest.mark.parametrize(
    ("state", "way"),
    [("error", "crawler start"), ("stopped", "crawler start"), ("paused", "crawler resume")],
)
def test_apply_says_what_a_crawl_that_rests_needs(api: Api, run: Run, state: str, way: str) -> None:
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "state": state, "reason": "x"}
    ended = run("apply", "https://x.example/", "--name", "shop")
    assert ended.err.rstrip().endswith(f" with `{way} shop`")


def test_apply_to_what_is_over_says_how_to_go_on(api: Api, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('start_urls = ["https://shop.example/"]\ndepth_limit = 3\n')
    api.answers["GET /crawler/resource/shop"] = {**RESOURCE, "state": "finished"}
    ended = run("apply", str(file))
    assert (ended.code, ended.out) == (0, "shop\n")
    assert '+  "depth_limit": 3' in ended.err
    assert "shop changed (finished); begin its next run with `crawler start shop`" in ended.err


def test_earlier_runs_are_asked_for_by_number(api: Api, run: Run) -> None:
    assert run("items", "shop", "--run", "1").code == 0
    assert run("pages", "shop", "--run", "1").code == 0
    assert all("run=1" in call for call, _ in api.asked)


def test_a_node_that_is_not_there_is_looked_for_among_nodes(api: Api, run: Run) -> None:
    path = "POST /crawler/node/go.micro.server.worker-9/drain"
    api.answers[path] = (404, {"code": 5, "message": "there is no worker 9", "details": []})
    assert "`crawler nodes` shows what there is" in run("drain", "9").err


def test_a_token_is_made_told_once_and_kept_as_a_hash(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    for name, role in (("grafana", Role.READ), ("ci", Role.OPERATE)):
        ended = run("token", name, "--role", role, "--file", str(file))
        token = ended.out.strip()
        assert ended.code == 0
        assert token not in file.read_text()
        assert Access(file).admit(f"Bearer {token}", Role.READ).name == name
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().splitlines()) == 2
    modest = run("token", "modest", "--resources", "3", "--file", str(file)).out.strip()
    assert Access(file).admit(f"Bearer {modest}", Role.READ).most == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "--role", "admin"), "--role admin: one of read, operate"),
        (("a b",), "is no name for a token"),
    ],
)
def test_wrong_tokens_are_not_made(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "tokens"
    ended = run("token", *arguments, "--file", str(file))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not file.exists()


def test_commands_say_who_they_are(
    api: Api, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("ls").code == 0
    monkeypatch.setenv("CRAWLER_TOKEN", "crw_one")
    assert run("ls").code == 0
    monkeypatch.delenv("CRAWLER_TOKEN")
    (tmp_path / "token").write_text("crw_two\n")
    monkeypatch.setenv("CRAWLER_TOKEN_FILE", str(tmp_path / "token"))
    assert run("ls").code == 0
    assert api.identities == ["", "Bearer crw_one", "Bearer crw_two"]
    api.answers["GET /crawler/resource"] = (401, {"code": 16, "message": "who?", "details": []})
    ended = run("ls")
    assert "who?; set CRAWLER_TOKEN, or CRAWLER_TOKEN_FILE" in ended.err


@pytest.mark.parametrize(
    ("arguments", "pages", "told"),
    [
        ((), 12, "shop tries 12 failed pages again in run 3 (running on worker-2)"),
        (("--status", "5xx"), 1, "shop tries 1 failed page again in run 3 (running on worker-2)"),
        ((), 0, "shop has no failed page like that in run 3 (running on worker-2)"),
        (
            ("--dry-run", "--reason", "time"),
            1200,
            (
                "shop has 1,200 failed pages like that in run 3 (running on worker-2); "
                "without --dry-run they are tried again"
            ),
        ),
    ],
)
def test_a_retry_tells_how_many(
    api: Api, run: Run, arguments: tuple[str, ...], pages: int, told: str
) -> None:
    answer = {"run": 3, "pages": pages, "next": 0}
    api.answers["POST /crawler/resource/shop/retry"] = answer
    assert run("retry", "shop", *arguments) == Ended(0, "", f"{told}\n")
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    assert api.asked[0][1] == {
        "status": given.get("--status", ""),
        "reason": "time" if "--reason" in arguments else "",
        "dry_run": "--dry-run" in arguments,
    }


def test_a_retry_of_an_earlier_run_is_refused(api: Api, run: Run) -> None:
    message = "run: 2 is not the latest run of shop, 3 is"
    refusal = 409, {"code": 6, "message": message, "details": []}
    api.answers["POST /crawler/resource/shop/retry"] = refusal
    ended = run("retry", "shop", "--run", "2")
    assert ended.code != 0
    assert message in ended.err
    assert api.asked[0][1]["run"] == 2
