"""The command line as a whole: what there is, how it fails, what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler import errors
from crawler.cli import exits
from crawler.cli.main import run_command

ISSUE = (
    "master", "worker", "up", "demo", "apply", "ls", "show", "rm", "pause", "resume", "stop",
    "start", "retry", "drain", "nodes", "top", "items", "pages", "events", "run", "try", "check",
    "new", "doctor",
)  # fmt: skip


def test_every_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    shown = capsys.readouterr().out
    commands = [
        line.split()[0]
        for line in shown.partition("Commands:")[2].splitlines()
        if line[2:3].strip()
    ]
    for name in ISSUE:
        assert name in commands
        assert run_command([name, "--help"]) == 0
    assert "child" not in commands
    assert "3 there is no such thing" in shown


@pytest.mark.parametrize("words", [[], ["install"], ["uninstall"]])
def test_words_that_want_another_show_which(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith(" ".join(["Usage: crawler", *words, "[OPTIONS] COMMAND"]))
    assert not err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["unheard"], "No such command 'unheard'. (see crawler --help)"),
        (["ls", "--unheard"], "No such option: --unheard (see crawler ls --help)"),
        (["apply"], "Missing argument 'FILE|URL'"),
        (["master", "--id=a-b"], "--id: 1 to 64 letters"),
        (["master", "--http=0.0.0.0:8081"], "--insecure"),
        (["worker", "--cluster=perhaps"], "--cluster: expected true or false"),
        (["worker", "--cluster=false"], "--cluster=false needs --definitions=FILE"),
        (["worker", f"--definitions={__file__}"], "definitions are for --cluster=false"),
        (["worker", "--cluster=false", "--definitions=/no.toml"], "no such file: /no.toml"),
        (["worker", "--config=/nowhere.toml"], "/nowhere.toml: No such file"),
        (["up", "--masters=0"], "--masters: expected 1 to 99"),
        (["apply", "/nowhere.toml"], "/nowhere.toml: no such file"),
        (["run", "shop.example/new"], "no such file; a URL begins with https://"),
        (["run", "ftp://shop.example/"], "no such file; a URL begins with https://"),
        (["apply", "shop.example"], "a URL begins with https://"),
        (["apply", "https://shop.example/", "--name", "a/b"], "name: 1 to 128 characters"),
        (["apply", "https://shop.example/", "-s", "download_dely=1"], "download_dely"),
        (["run", "https://shop.example/", "-o", "x.xml"], "must end in .jsonl, .json, .csv"),
        (["run", "https://shop.example/", "--allow-private", "x"], "--allow-private: expected"),
        (
            ["run", "https://shop.example/", "--log-level", "x"],
            "--log-level: expected one of debug",
        ),
        (["try", "/nowhere.toml", "https://shop.example/"], "no such file"),
        (["new", "shop.example"], "expected a URL like https://example.org/"),
        (["ls", "--state", "x"], "--state: one of pending"),
        (["pages", "shop", "--status", "x"], "--status: pending"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["start_urls = 3", "start_urls = [", '{"start_urls": ["x"]}', ""])
def test_a_wrong_definition_names_file_and_field(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(text)
    assert run_command(["check", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_a_right_definition_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('start_urls = ["https://shop.example/"]')
    assert run_command(["check", str(file), str(file)]) == 0
    assert capsys.readouterr().err.count("fine (1 start URLs, no rules)") == 2


def test_go_style_flags_are_understood() -> None:
    # Up to the first thing that needs a network: the etcd address is wrong on purpose.
    go = ["--id=1", "--http=:8081", "--grpc=:9091", "--pprof=:9981", "--etcd=ftp://x:1"]
    assert run_command(["master", *go]) == 2
    assert run_command(["worker", *go, "--cluster=false", "--podip=10.0.0.1"]) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("x"), 2),
        (errors.TooLarge("x"), 2),
        (errors.Misconfigured("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.NoLeader("x"), 4),
        (errors.OutcomeUnknown("x"), 4),
        (errors.Hindered("x"), 4),
        (errors.Conflict("x"), 5),
        (errors.Refused("x"), 5),
        (errors.FetchFailed("x", retry=False), 1),
        (errors.IdTaken("x"), 1),
    ],
)
def test_codes(error: errors.CrawlerError, code: int) -> None:
    assert exits.code_of(error) == code


def test_a_group_of_ours_is_ours_but_a_fault_stays_a_fault() -> None:
    ours = errors.Misconfigured("x")
    assert exits.first_of_ours(ExceptionGroup("g", [ExceptionGroup("h", [ours])])) is ours
    assert exits.first_of_ours(ExceptionGroup("g", [ours, KeyError("x")])) is None
