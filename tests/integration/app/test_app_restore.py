"""A restore of etcd and the store: both, or neither, whatever is in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.app.backup import restore_backup, save_backup
from crawler.clock import SystemClock
from crawler.config import master_config
from crawler.errors import Conflict, Misconfigured
from crawler.store import open_store
from tests.etcd_server import EtcdServer


@pytest.fixture
async def kept(etcd: EtcdServer, tmp_path: Path) -> Path:
    """A backup of an empty cluster."""
    flags = {"store": f"sqlite://{tmp_path}/store.db", "etcd": ",".join(etcd.endpoints)}
    config = master_config(flags, {})
    await (await open_store(config.store, SystemClock())).close()
    await save_backup(config, tmp_path / "kept", SystemClock(), with_etcd=True)
    return tmp_path / "kept"


async def test_directories_are_made(kept: Path, tmp_path: Path) -> None:
    store, etcd_data = tmp_path / "a" / "new.db", tmp_path / "b" / "c" / "etcd"
    await restore_backup(kept, f"sqlite://{store}", etcd_data)
    assert store.is_file()
    assert (etcd_data / "member").is_dir()


async def test_without_a_place_for_etcd_no_store_is_made(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="--etcd-data"):
        await restore_backup(kept, f"sqlite://{tmp_path}/new.db", tmp_path / "file" / "etcd")
    assert not (tmp_path / "new.db").exists()


async def test_without_a_place_for_the_store_no_etcd_is_made(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="--store"):
        await restore_backup(kept, f"sqlite://{tmp_path}/file/new.db", tmp_path / "etcd")
    with pytest.raises(Conflict, match="there is a store already"):
        await restore_backup(kept, f"sqlite://{tmp_path}/store.db", tmp_path / "etcd")
    assert not (tmp_path / "etcd").exists()
