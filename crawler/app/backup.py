"""All that a cluster must not lose, in one directory, and back.

etcd comes first, and then the store. So what a backup holds of etcd is older than what it holds of
the store, which knows all that this etcd speaks of. In a restored store no claim and no assignment
of before counts, and whichever etcd it meets, its next leader takes that for a new one: it begins a
new epoch, and gives etcd what the store knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crawler import __version__
from crawler.app.node import etcd_settings
from crawler.clock import Clock
from crawler.config import NodeConfig
from crawler.errors import Conflict, Misconfigured
from crawler.ops.snapshot import restore_snapshot, save_snapshot
from crawler.store.copies import restore_copy, save_copy
from crawler.store.look import look_at

MANIFEST = "backup.json"
_SNAPSHOT = "etcd.snapshot"
_CHUNK = 1 << 20


async def save_backup(
    config: NodeConfig, folder: Path, clock: Clock, *, with_etcd: bool
) -> Mapping[str, Any]:
    """Make the folder, with a backup in it; what its manifest says.

    A folder without a manifest is none: that is written last. Raises `Conflict` for a folder that
    holds something, and what etcd and the store may raise; nothing is left of the folder then.
    """
    store = (await look_at(config.store))["id"]
    _make(folder)
    try:
        files = []
        if with_etcd:
            files.append(save_snapshot(etcd_settings(config), folder / _SNAPSHOT))
        files.append(await save_copy(config.store, folder))
        manifest = {
            "version": __version__,
            "made_at": round(clock.wall()),
            "store": store,
            "files": {file.name: _digest(file) for file in files},
        }
        _seal(folder, manifest)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return manifest


async def restore_backup(folder: Path, store: str, etcd_data: Path | None) -> Mapping[str, Any]:
    """Put a backup where nothing is: the store, and with ``etcd_data`` a member of etcd; what its
    manifest says. Nothing is changed unless all files are as they were when it was made, nor where
    this raises.

    Raises `Misconfigured` for a folder that holds no whole backup, `Conflict` where something is.
    """
    manifest = _read(folder)
    files: Mapping[str, str] = manifest["files"]
    (copy,) = (name for name in files if name != _SNAPSHOT)
    if etcd_data is not None:
        _check_etcd(folder, files, etcd_data)
        restore_snapshot(folder / _SNAPSHOT, etcd_data)
    try:
        await restore_copy(folder / copy, store)
    except BaseException:
        if etcd_data is not None:
            shutil.rmtree(etcd_data)
        raise
    return manifest


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = next(folder.iterdir(), None)
    except OSError as error:
        raise Misconfigured(f"{folder}: {error.strerror}") from error
    if held is not None:
        raise Conflict(f"{folder} holds {held.name} already; name a new directory")


def _check_etcd(folder: Path, files: Mapping[str, str], data: Path) -> None:
    if _SNAPSHOT not in files:
        raise Conflict(f"{folder} holds nothing of etcd (it was made with --store-only)")
    if data.exists():
        raise Conflict(f"--etcd-data {data}: there is something already; name a new directory")


def _seal(folder: Path, manifest: Mapping[str, Any]) -> None:
    staged = folder / f".{MANIFEST}"
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as target:
        json.dump(manifest, target, indent=2)
        target.flush()
        os.fsync(target.fileno())
    staged.replace(folder / MANIFEST)


def _read(folder: Path) -> Mapping[str, Any]:
    """The manifest of a backup whose files are whole."""
    try:
        manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        files = dict(manifest["files"])
        broken = [name for name, digest in files.items() if _digest(folder / name) != digest]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{folder} holds no whole backup: {error}") from error
    if broken:
        raise Misconfigured(f"{folder}: {', '.join(broken)} changed since the backup was made")
    return manifest


def _digest(file: Path) -> str:
    """SHA-256 in hex."""
    found = hashlib.sha256()
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
