"""Files that a crawl keeps: named by what they hold, and on the disk before their page is done."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from crawler.errors import FetchFailed

Keep = Callable[[bytes, str], str]  # body and content type to path, or `FetchFailed`


def keeper(folder: Path) -> Keep:
    """`keep_file` below ``folder``, for pages: a full disk fails the page, which is tried again."""
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
        _put(place, body)
    return f"{digest[:2]}/{place.name}"


def _put(place: Path, body: bytes) -> None:
    """Write it whole under another name first: who finds it finds all of it."""
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".part", dir=place.parent)
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
