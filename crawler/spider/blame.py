"""What went wrong in a user's code, told by what it is and where it stands in that code."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from crawler.errors import CrawlerError

_OURS: Final = (f"{Path(__file__).parent.parent}/", "<frozen importlib")


def blamed(error: BaseException) -> str:
    """``KeyError: 'price' (shop.py:12)``, the place being the deepest in the file where it enters
    the user's code; the sentence alone where it is ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    places = _places(error.__traceback__)
    if not places and isinstance(error, ValueError | CrawlerError):
        return str(error)
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    lines = [each.lineno for each in places if each.filename == places[0].filename]
    return f"{said} ({Path(places[0].filename).name}:{lines[-1]})" if places else said


def users_traceback(error: BaseException) -> str:
    """The traceback from where it enters the user's code on."""
    frames = traceback.format_list(_places(error.__traceback__))
    return "".join([*frames, *traceback.format_exception_only(error)]).rstrip()


def _places(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    return [each for each in traceback.extract_tb(trace) if not each.filename.startswith(_OURS)]
