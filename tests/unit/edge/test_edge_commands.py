"""What a user types to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.cli.main import run_command
from crawler.config import edge_config
from crawler.edge.plan import read_plan


@pytest.mark.parametrize("what", ["nginx", "haproxy"])
def test_install_writes_what_the_edge_takes(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--to", str(tmp_path / "here"), "--http", ":81", "--etcd", "http://10.0.0.1:2379"]
    assert run_command(["install", what, *options]) == 0
    file = tmp_path / "here" / "edge.toml"
    assert f"next: crawler edge --config {file} --dry-run" in capsys.readouterr().err
    config = edge_config({"config": str(file)}, {})
    assert config.etcd == ("http://10.0.0.1:2379",)
    (target,) = read_plan(config).targets.values()
    assert target.kind == what
    assert "nobody" not in target.file.read_text()
    before = file.read_text()
    assert run_command(["install", what, *options]) == 5
    assert "there already" in capsys.readouterr().err
    assert run_command(["install", what, *options, "--force"]) == 0
    assert file.read_text() == before


@pytest.mark.parametrize("what", ["nginx", "haproxy"])
@pytest.mark.parametrize("option", ["--to", "--tls"])
def test_a_directory_that_no_configuration_can_name_is_refused(
    what: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "my files"
    options = ["--to", str(tmp_path / "here"), option, str(odd)]
    assert run_command(["install", what, *options]) == 2
    assert f"{option}: '{odd}' holds a blank" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_is_said_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["install", "nginx", "--http", "80", "--to", str(tmp_path)]) == 2
    assert "--http: expected HOST:PORT" in capsys.readouterr().err
    assert run_command(["edge", "--http="]) == 2
    assert "there is no target; name one in [edge.targets.NAME]" in capsys.readouterr().err
    # Of these, 2 means that something was changed.
    assert run_command(["edge", "--once"]) == 1
    config = tmp_path / "edge.toml"
    config.write_text('[edge.targets.a]\nkind = "json"\nfile = "/tmp/x"\nreload = "x"\n')
    assert run_command(["edge", "--config", str(config)]) == 2
    assert "edge.targets.a.reload" in capsys.readouterr().err
