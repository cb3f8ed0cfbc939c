"""Log lines: one per event, in a known order, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from crawler.telemetry import logs, metrics
from crawler.telemetry.redaction import HIDDEN, redact, redact_text


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, fields={"node": "worker-2"})
    structlog.get_logger("crawler.worker").info("started", resource="shop", token=7)
    (line,) = written(stream)
    assert list(line)[:4] == ["ts", "level", "logger", "msg"]
    assert datetime.fromisoformat(line.pop("ts")).tzinfo is not None
    assert line == {
        "level": "INFO",
        "logger": "crawler.worker",
        "msg": "started",
        "resource": "shop",
        "token": 7,
        "node": "worker-2",
    }


def test_words_for_people() -> None:
    stream = io.StringIO()
    logs.configure(format="console", stream=stream)
    structlog.get_logger("x").warning("fenced", resource="shop")
    assert "fenced" in stream.getvalue()
    assert "resource=shop" in stream.getvalue()
    assert "\x1b" not in stream.getvalue(), "no colour where there is no terminal"


def test_a_field_of_the_event_wins_over_the_process() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, fields={"node": "worker-2"})
    structlog.get_logger("x").info("seen", node="worker-3")
    assert written(stream)[0]["node"] == "worker-3"


def test_levels_hold_for_libraries_too() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    structlog.get_logger("x").debug("quiet")
    logging.getLogger("somebody").info("loud %s", 1)
    logging.getLogger("aiohttp.access").info("quiet")
    assert [line["msg"] for line in written(stream)] == ["loud 1"]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_broken_connections_are_told_once_by_whoever_needed_them(level: str) -> None:
    stream = io.StringIO()
    logs.configure(level, stream=stream)
    logging.getLogger("psycopg").warning("query cancellation failed")
    logging.getLogger("psycopg").debug("connection attempt: host: 'db'")
    logging.getLogger("grpc._cython").warning("reset")
    logging.getLogger("psycopg").error("a mistake of ours")
    assert [line["msg"] for line in written(stream)] == ["a mistake of ours"]


def test_a_later_call_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logger = structlog.get_logger("x")
    logs.configure(stream=first)
    logger.info("one")
    logs.configure("error", stream=second)
    logger.warning("two")
    logger.error("three")
    assert len(written(first)) == 1
    assert [line["msg"] for line in written(second)] == ["three"]


def test_tracebacks_are_one_line() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        raise ValueError("https://me:hunter2@example.org/")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = written(stream)
    assert "ValueError" in line["exception"]
    assert "hunter2" not in stream.getvalue()


HOSTILE = "a\nlevel=error \r\x1b[2J \x9b31m \u2028 \x85 \u202e \udc80 \x00 \x7f \U000e0001 b"


@pytest.mark.threat(22)
@pytest.mark.parametrize("format_", ["json", "console"])
def test_what_others_sent_forges_no_line_and_commands_no_terminal(format_: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", write_through=True)
    logs.configure(format=format_, stream=stream)
    structlog.get_logger("x").info(HOSTILE, path=HOSTILE, nested=[HOSTILE], word="grün")
    logging.getLogger("somebody").warning("%s", HOSTILE)
    lines = buffer.getvalue().decode().splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "grün" in lines[0]
    if format_ == "json":
        assert json.loads(lines[0])["path"] == HOSTILE
        assert json.loads(lines[1])["msg"] == HOSTILE


def test_a_traceback_on_a_terminal_has_lines_and_no_commands() -> None:
    stream = io.StringIO()
    logs.configure(format="console", stream=stream)
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) > 3


@pytest.mark.threat(24)
def test_secrets_stay_out() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    structlog.get_logger("x").info(
        "asked",
        headers={"Authorization": "Bearer abc", "Accept": "text/html", "Set-Cookie": "id=abc"},
        etcd_password="abc",
        url="postgresql://me:abc@db/x",
        other="postgresql://db/x?user=me&password=abc&sslmode=require",
        words="host=db sslpassword = abc password='abc abc' dbname=x",
        note="sent Cookie: id=abc; more=abc",
        nested=[{"api_key": "abc"}],
    )
    assert "abc" not in stream.getvalue()
    (line,) = written(stream)
    assert line["headers"]["Accept"] == "text/html"
    assert line["url"] == "postgresql://me:***@db/x"
    assert line["other"] == "postgresql://db/x?user=me&password=***&sslmode=require"
    assert line["words"] == "host=db sslpassword = *** password=*** dbname=x"


@pytest.mark.parametrize(
    "text",
    ["http://[::1]:8081/", "mail me@example.org: now", "token 17", "a:b@c", "http://h/?a=x:y@z"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_password_with_an_at_sign_is_hidden_to_its_end() -> None:
    assert redact_text("postgresql://me:a@abc@db/x y@z") == "postgresql://me:***@db/x y@z"


def test_what_belongs_to_the_caller_is_not_changed() -> None:
    given = {"password": "abc", "list": ["http://u:abc@h"]}
    assert redact(given) == {"password": HIDDEN, "list": ["http://u:***@h"]}
    assert given["password"] == "abc"


def test_lines_are_counted() -> None:
    logs.configure(stream=io.StringIO())
    structlog.get_logger("x").error("counted")
    text = metrics.exposition()[0].decode()
    assert 'crawler_log_lines_total{level="error"}' in text


def test_the_node_is_named() -> None:
    metrics.name_node("go.micro.server.worker-2")
    metrics.name_node("go.micro.server.worker-3")
    body, kind = metrics.exposition()
    infos = [line for line in body.decode().splitlines() if line.startswith("crawler_node_info")]
    assert len(infos) == 1
    assert 'node="go.micro.server.worker-3"' in infos[0]
    assert kind.startswith("text/plain")
