"""Units are put below a root, replaced and removed; what is somebody else's stays."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from crawler.cli.main import run_command
from crawler.errors import Conflict, InvalidInput
from crawler.ops.files import Done
from crawler.ops.systemd import install, uninstall

PROGRAM = Path("/opt/crawler/bin/crawler")
UNITS = "etc/systemd/system"


def written(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_install_then_uninstall_leaves_settings(tmp_path: Path) -> None:
    done = install(tmp_path, ("worker",), PROGRAM, with_nginx=True)
    assert {what for _, what in done} == {Done.WRITTEN}
    unit = tmp_path / UNITS / "crawler-worker@.service"
    assert f"ExecStart={PROGRAM} worker --id=%i" in unit.read_text()
    config = tmp_path / "etc/crawler/crawler.toml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    config.write_text("ttl = 5\n")
    (tmp_path / UNITS / "crawler-worker@.service.d").mkdir()
    mine = tmp_path / UNITS / "crawler-worker@.service.d" / "mine.conf"
    mine.write_text("[Service]\nWatchdogSec=5\n")

    again = dict(install(tmp_path, ("worker", "master"), PROGRAM, with_nginx=True))
    assert again[unit] is Done.UNCHANGED
    assert again[config] is Done.KEPT
    assert Done.WRITTEN in again.values()  # the other role's
    moved = dict(install(tmp_path, ("worker",), Path("/usr/bin/crawler"), with_nginx=False))
    assert moved[unit] is Done.WRITTEN
    assert "ExecStart=/usr/bin/crawler " in unit.read_text()

    uninstall(tmp_path)
    assert written(tmp_path) == {
        "etc/crawler/crawler.toml",
        f"{UNITS}/crawler-worker@.service.d/mine.conf",
    }
    assert config.read_text() == "ttl = 5\n"
    assert uninstall(tmp_path) == [(config, Done.KEPT)]


def test_the_edge_is_one_unit_and_needs_no_settings_of_nodes(tmp_path: Path) -> None:
    install(tmp_path, ("edge",), PROGRAM, with_nginx=False)
    assert written(tmp_path) == {f"{UNITS}/crawler-edge.service"}
    text = (tmp_path / UNITS / "crawler-edge.service").read_text()
    assert f"ExecStart={PROGRAM} edge --config=/etc/crawler/edge.toml" in text
    uninstall(tmp_path)
    assert written(tmp_path) == set()


def test_units_of_somebody_else_are_touched_by_neither(tmp_path: Path) -> None:
    theirs = tmp_path / UNITS / "crawler-master@.service"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(Conflict, match=r"crawler-master@\.service was not written by crawler"):
        install(tmp_path, ("worker", "master"), PROGRAM, with_nginx=False)
    assert written(tmp_path) == {f"{UNITS}/crawler-master@.service"}
    uninstall(tmp_path)
    assert theirs.exists()


def test_programs_that_services_could_not_start_are_refused(tmp_path: Path) -> None:
    for program, said in (
        ("crawler", "a path from /"),
        ("/root/venv/bin/crawler", "but services see nothing of /home"),
        ("/home/me/bin/crawler", "an environment of its own"),
    ):
        with pytest.raises(InvalidInput, match=said):
            install(tmp_path, ("worker",), Path(program), with_nginx=False)
    assert written(tmp_path) == set()


def test_the_command_says_what_it_did_and_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--root", str(tmp_path), "--program", str(PROGRAM)]
    assert run_command(["install", "systemd", "--role=master", *options]) == 0
    said = capsys.readouterr().out
    assert f"written   {tmp_path}/{UNITS}/crawler-master@.service" in said
    assert "systemctl enable --now crawler-master@1\n" in said
    assert run_command(["install", "systemd", "--role=boss", *options]) == 2
    assert "--role boss: one of master, worker, all, edge" in capsys.readouterr().err
    assert run_command(["uninstall", "systemd", "--root", str(tmp_path)]) == 0
    assert "as they were" in capsys.readouterr().out
