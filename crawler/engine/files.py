"""Files that a crawl keeps: named by what they hold, and on the disk before their page is done."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from crawler.errors import FetchFailed

_DRAFTS: Final = ".drafts"
_OLD_S: Final = 3600.0  # no draft takes so long: its process has died

Keep = Callable[[bytes, str], str]  # body and content type to path, or `FetchFailed`


def keeper(folder: Path) -> Keep:
    """`keep_file` below ``folder``, for pages: a full disk fails the page, which is tried again."""
    sweep_drafts(folder, time.time())
    return partial(_keep, folder)


def _keep(folder: Path, body: bytes, content_type: str) -> str:
    try:
        return keep_file(folder, body, content_type)
    except OSError as error:
        reason = f"file not written: {error.strerror or error}"
        raise FetchFailed(reason, retry=True) from error


def keep_file(folder: Path, body: bytes, content_type: str) -> str:
    """Keep ``body`` below ``folder``; its path from there, ``ab/ab…cd.jpg`` by the SHA-256.

    On return it survives the loss of power. The same bytes are kept once. Raises `OSError`.
    """
    digest = hashlib.sha256(body).hexdigest()
    ending = mimetypes.guess_extension(content_type) or ""
    place = folder / digest[:2] / f"{digest}{ending}"
    if not (place.is_file() and place.stat().st_size == len(body)):
        place.parent.mkdir(parents=True, exist_ok=True)
        _put(place, body, folder / _DRAFTS)
    return f"{digest[:2]}/{place.name}"


def sweep_drafts(folder: Path, now: float) -> None:
    """Remove what processes left below ``folder`` that died while they wrote; ``now``: Unix
    seconds."""
    with suppress(OSError):  # there are none, or somebody else sweeps as well
        for draft in (folder / _DRAFTS).iterdir():
            if draft.stat().st_mtime < now - _OLD_S:
                draft.unlink()


def _put(place: Path, body: bytes, drafts: Path) -> None:
    """Write it whole under another name first: who finds it finds all of it."""
    drafts.mkdir(exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=drafts)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(place)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    for folder in (place.parent, place.parent.parent):  # the second where the first is new
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
