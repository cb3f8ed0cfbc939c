"""What a backup is, and where it is not put back."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from crawler.app.backup import MANIFEST, restore_backup, save_backup
from crawler.cli.main import run_command
from crawler.clock import SystemClock
from crawler.config import MasterConfig, master_config
from crawler.errors import Conflict, Fenced, Misconfigured, NotFound
from crawler.store import open_store
from tests.contract.rows import CLUSTER, RESOURCE, claimed, job, request, stamp, urls


@pytest.fixture
async def config(tmp_path: Path) -> MasterConfig:
    """Of a cluster whose store knows one page, and that is still open when the test begins."""
    settings = master_config({"store": f"sqlite://{tmp_path}/store.db"}, {})
    store = await open_store(settings.store, SystemClock())
    await (await claimed(store)).seed([request("a")])
    await store.close()
    return settings


async def save(config: MasterConfig, folder: Path) -> None:
    await save_backup(config, folder, SystemClock(), with_etcd=False)


async def test_what_was_saved_is_restored_and_begins_a_new_epoch(
    config: MasterConfig, tmp_path: Path
) -> None:
    await save(config, tmp_path / "kept")
    assert {each.stat().st_mode & 0o077 for each in (tmp_path / "kept").iterdir()} == {0}
    url = f"sqlite://{tmp_path}/new/store.db"
    await restore_backup(tmp_path / "kept", url, None)
    store = await open_store(url, SystemClock())
    try:
        (_, progress) = (await store.progress([RESOURCE]))[RESOURCE]
        assert progress.pending == 1
        with pytest.raises(Conflict, match="a newer cluster uuid"):
            await store.open_epoch(CLUSTER, 1 << 60)  # however far that etcd is
        with pytest.raises(Fenced, match="a cluster that was replaced"):
            await store.claim(stamp(1 << 60), job())
        await store.open_epoch("another", 1)
        again = await store.claim(stamp(2, cluster="another"), job())
        assert await urls(again) == [request("a").url]
    finally:
        await store.close()


async def test_what_root_restores_belongs_to_whom_the_directory_belongs(
    config: MasterConfig, tmp_path: Path
) -> None:
    await save(config, tmp_path / "kept")
    state = tmp_path / "state"
    state.mkdir()
    if os.geteuid() == 0:
        os.chown(state, 12345, 12345)
    await restore_backup(tmp_path / "kept", f"sqlite://{state}/store.db", None)
    found = (state / "store.db").stat()
    assert (found.st_uid, found.st_gid) == (state.stat().st_uid, state.stat().st_gid)
    assert found.st_mode & 0o777 == 0o600


async def test_nothing_is_written_over(config: MasterConfig, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    await save(config, kept)
    with pytest.raises(Conflict, match=r"holds (backup\.json|store\.db) already"):
        await save(config, kept)
    with pytest.raises(Conflict, match="there is a store already"):
        await restore_backup(kept, config.store, None)
    (tmp_path / "other.db-wal").touch()
    with pytest.raises(Conflict, match=r"other\.db-wal"):
        await restore_backup(kept, f"sqlite://{tmp_path}/other.db", None)
    with pytest.raises(Conflict, match="copy of SQLite"):
        await restore_backup(kept, "postgresql://u@127.0.0.1:1/d", None)
    with pytest.raises(Conflict, match="--store-only"):
        await restore_backup(kept, f"sqlite://{tmp_path}/new.db", tmp_path / "etcd")
    assert not (tmp_path / "new.db").exists()


async def test_what_is_not_whole_is_no_backup(config: MasterConfig, tmp_path: Path) -> None:
    await save(config, tmp_path / "kept")
    copy = tmp_path / "kept" / "store.db"
    with copy.open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    url = f"sqlite://{tmp_path}/new.db"
    with pytest.raises(Misconfigured, match=r"store\.db changed since"):
        await restore_backup(tmp_path / "kept", url, None)
    (tmp_path / "kept" / MANIFEST).unlink()
    with pytest.raises(Misconfigured, match="no whole backup"):
        await restore_backup(tmp_path / "kept", url, None)
    with pytest.raises(Misconfigured, match="no whole backup"):
        await restore_backup(tmp_path / "nowhere", url, None)
    assert not (tmp_path / "new.db").exists()


async def test_there_must_be_something_of_ours(tmp_path: Path) -> None:
    settings = master_config({"store": f"sqlite://{tmp_path}/store.db"}, {})
    with pytest.raises(NotFound):
        await save(settings, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    sqlite3.connect(tmp_path / "store.db").execute("CREATE TABLE theirs (x)").connection.close()
    with pytest.raises((NotFound, Misconfigured)):
        await save(settings, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_commands_name_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"--store=sqlite://{tmp_path}/store.db"
    assert run_command(["backup", str(tmp_path / "kept"), "--store-only", store]) == 3
    assert str(tmp_path) in capsys.readouterr().err
    assert run_command(["restore", str(tmp_path / "kept"), store]) == 2
    assert "no whole backup" in capsys.readouterr().err
