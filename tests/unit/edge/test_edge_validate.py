"""A sample of members is rendered and checked, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.cli.main import run_command

ONE = '{"id": "m1", "host": "10.0.0.1", "port": 80, "address": "10.0.0.1:80", "draining": false}'


def validated(folder: Path, sample: str) -> int:
    (folder / "list.j2").write_text("{% for m in pools.web.members %}{{ m.address }}\n{% endfor %}")
    (folder / "edge.toml").write_text(
        f'etcd = ["http://127.0.0.1:9"]\n[edge]\nstate = "{folder}/state"\n'
        '[edge.pools.web]\nprefix = "/web/"\nport = 80\n[edge.targets.list]\nkind = "template"\n'
        f'template = "{folder}/list.j2"\nfile = "{folder}/list"\n'
        'check = ["grep", "0.1", "{file}"]\n'
    )
    (folder / "sample.json").write_text(sample)
    return run_command(["edge", f"--config={folder}/edge.toml", f"--validate={folder}/sample.json"])


def test_a_sample_is_rendered_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validated(tmp_path, f'{{"pools": {{"web": {{"members": [{ONE}]}}}}}}') == 0
    assert capsys.readouterr().out == "10.0.0.1:80\n"
    assert {each.name for each in tmp_path.iterdir()} == {"edge.toml", "list.j2", "sample.json"}
    refused = ONE.replace("0.0.1", "0.0.2")
    assert validated(tmp_path, f'{{"pools": {{"web": {{"members": [{refused}]}}}}}}') == 1
    assert "target list: `grep 0.1 " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("", 'expected JSON like {"pools": {"NAME": {"members": []}}}'),
        ('{"pools": 5}', "pools: Input should be a valid dictionary"),
        ('{"pools": {"web": {"members": [{"id": "a", "host": "h", "port": 1}]}}}', "0.host: value"),
        ('{"pools": {"webb": {"members": []}}}', "there is no pool webb; known are web"),
        ('{"pools": {}}', "target list: "),
        ('{"pools": {"web": {"members": []}}}', "nobody is registered for web"),
    ],
)
def test_what_is_no_sample_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sample: str, said: str
) -> None:
    assert validated(tmp_path, sample) == 1
    assert said in capsys.readouterr().err
