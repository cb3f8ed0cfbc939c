"""What references on pages lead to: pure, and remembered, for sites repeat theirs on every page."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import ada_url

from crawler.engine.urls.memory import Admission

_REMEMBERED: Final = 1 << 16  # of all crawls of the process; about 20 MB
MAX_REMEMBERED: Final = 256  # characters of a reference that is remembered
# What a reference begins with that means the same on all pages of a folder: others may mean the
# page itself, with another query or fragment.
_STEADY: Final = frozenset(string.ascii_letters + string.digits + "/._-~%")
# References that mean the same wherever they are resolved but for the part that is put before.
match_rooted: Final = re.compile(r"(/(?![/\\])[!\"$-\[\]-~]*)(?:#|$)").match
_RELATIVE: Final = re.compile(r"[A-Za-z0-9_][!-9;-\[\]-~]*")  # no colon: it has no scheme
_ABSOLUTE: Final = re.compile(r"https?://[A-Za-z0-9.:-]+(?:[/?][!-\[\]-~]*)?")
_UP: Final = re.compile(r"(?:\.\./)+")
_CLIMBING: Final = re.compile(r"((?:\.\./)+)([A-Za-z0-9_][!\"$-9;-\[\]-~]*)(?:#|$)")
_FOLDER: Final = re.compile(r"(https?://[^/?#]+)/(?:[^?#]*/)?")
_HTTP: Final = ("http://", "https://")


def folder_of(base: str) -> str:
    """The part of a URL up to the last slash of its path; "" where it has none."""
    found = _FOLDER.match(base)
    return found[0] if found else ""


def root_of(folder: str) -> str:
    """The uppermost folder of the same site."""
    return folder[: folder.index("/", 8) + 1] if folder else ""


class Known:
    """What references led to, by what the pages have in common on which they mean the same: the
    folder, or only the site, of which the name ends without a slash. Bounded, and shared by all
    crawls of the process."""

    def __init__(self, most: int) -> None:
        self._places: dict[str, dict[str, str | None]] = {}
        self._admission = Admission(most, self._places.clear)

    def of(self, place: str) -> dict[str, str | None]:
        """By reference; to be added to by `keep`."""
        answers = self._places.get(place)
        if answers is None:
            answers = {}
            if self._admission.admits(1):
                self._places[place] = answers
        return answers

    def keep(self, answers: dict[str, str | None], news: Mapping[str, str | None]) -> None:
        """Add to what `of` has given, if there is room. Where all was forgotten since, that is for
        the page that asked for it alone."""
        if news and self._admission.admits(len(news)):
            short = (each for each in news.items() if len(each[0]) <= MAX_REMEMBERED)
            answers.update(short)


KNOWN: Final = Known(_REMEMBERED)


def is_steady(reference: str) -> bool:
    """Whether it means the same on all pages of a folder, in whatever encoding they are."""
    return (
        reference[:1] in _STEADY
        and len(reference) <= MAX_REMEMBERED
        and (":" not in reference or reference.startswith(_HTTP))
        and reference.isascii()
    )


def is_rooted(reference: str) -> bool:
    """Whether a steady one means the same on all pages of the site."""
    return reference[0] == "/" or reference.startswith(_HTTP)


def height_of(folder: str) -> int:
    """How many steps up lead to the top of the site; more than anybody climbs where the names of
    folders need reading."""
    if not folder or any(mark in folder for mark in ("./", "%", "\\")):
        return 1 << 16
    return folder.count("/") - 3


def from_root(height: int, reference: str) -> str:
    """The rooted reference, without fragment, that leads to the same as a steady one that climbs
    from a folder of that height to the top of the site; "" for all others."""
    found = _CLIMBING.match(reference)
    return f"/{found[2]}" if found is not None and found.end(1) >= 3 * height else ""


def within(site: str, reference: str) -> str:
    """The absolute URL without fragment that a plain rooted reference leads to; "" for others.
    ``site`` is the part of a URL before its path."""
    found = match_rooted(reference)
    if found is None or "./" in (target := found[1]):
        return ""
    return site + target


def leads_to(base: str, folder: str, reference: str) -> str | None:
    """The absolute URL without fragment that a reference leads to, not yet canonical; None for the
    page itself, for other schemes than http and https, and for what is no URL. ``folder`` is that
    of ``base``."""
    reference = reference.strip(" \t\r\n\f")
    target = reference.partition("#")[0]
    if not target:
        return None
    if folder and "./" not in target:
        url = within(root_of(folder)[:-1], target)
        if url or _RELATIVE.fullmatch(target):
            return url or folder + target
    elif (up := _UP.match(target)) is not None:
        rest = target[up.end() :]
        above = _above(folder, up.end() // 3)
        if above and "./" not in rest and _RELATIVE.fullmatch(rest):
            return above + rest
    if _ABSOLUTE.fullmatch(target):
        return target
    resolved = join(base, reference)  # whole: blanks before the fragment are part of the URL
    if resolved is None or not resolved.startswith(_HTTP):
        return None
    return resolved.partition("#")[0]


@lru_cache(maxsize=4096)
def _above(folder: str, steps: int) -> str:
    """The folder so many steps up, at most the root; "" where the names of folders need reading."""
    if any(mark in folder for mark in ("./", "%", "\\")):
        return ""
    root = root_of(folder)
    while steps and folder != root:
        folder, steps = folder[: folder.rindex("/", 0, -1) + 1], steps - 1
    return folder


def join(base: str, reference: str) -> str | None:
    """The absolute URL of any scheme for a reference; None for what is no URL."""
    try:
        return ada_url.join_url(base, reference)
    except ValueError:
        return None
