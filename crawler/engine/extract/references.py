"""What references on pages lead to: pure, and remembered, for sites repeat theirs on every page."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import Final

import ada_url

_REMEMBERED: Final = 1 << 15  # of all crawls of the process; about 10 MB
MAX_REMEMBERED: Final = 256  # characters of a reference that is remembered
# What a reference begins with that means the same on all pages of a folder: others may mean the
# page itself, with another query or fragment.
_STEADY: Final = frozenset(string.ascii_letters + string.digits + "/._-~%")
# References that mean the same wherever they are resolved but for the part that is put before.
_ROOTED: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_RELATIVE: Final = re.compile(r"[A-Za-z0-9_][!-9;-\[\]-~]*")  # no colon: it has no scheme
_ABSOLUTE: Final = re.compile(r"https?://[A-Za-z0-9.:-]+(?:[/?][!-\[\]-~]*)?")
_FOLDER: Final = re.compile(r"(https?://[^/?#]+)/(?:[^?#]*/)?")
_HTTP: Final = ("http://", "https://")


def folder_of(base: str) -> str:
    """The part of a URL up to the last slash of its path; "" where it has none."""
    found = _FOLDER.match(base)
    return found[0] if found else ""


def root_of(folder: str) -> str:
    """The uppermost folder of the same site."""
    return folder[: folder.index("/", 8) + 1] if folder else ""


@lru_cache(maxsize=_REMEMBERED)
def remembered(folder: str, reference: str) -> str | None:
    """`leads_to` from any page of the folder; of what begins with a slash, from any page of the
    site, of which ``folder`` is then the root. "" where it depends on the page."""
    return leads_to(folder, folder, reference) if folder and _is_steady(reference) else ""


def _is_steady(reference: str) -> bool:
    """Whether it means the same on all pages of a folder, in whatever encoding they are."""
    return (
        reference[:1] in _STEADY
        and (":" not in reference or reference.startswith(_HTTP))
        and reference.isascii()
    )


def leads_to(base: str, folder: str, reference: str) -> str | None:
    """The absolute URL without fragment that a reference leads to, not yet canonical; None for the
    page itself, for other schemes than http and https, and for what is no URL. ``folder`` is that
    of ``base``."""
    reference = reference.strip(" \t\r\n\f")
    target = reference.partition("#")[0]
    if not target:
        return None
    if folder and "./" not in target:
        if _ROOTED.fullmatch(target):
            return root_of(folder)[:-1] + target
        if _RELATIVE.fullmatch(target):
            return folder + target
    if _ABSOLUTE.fullmatch(target):
        return target
    url = join(base, reference)  # whole: blanks before the fragment are part of the URL
    if url is None or not url.startswith(_HTTP):
        return None
    return url.partition("#")[0]


def join(base: str, reference: str) -> str | None:
    """The absolute URL of any scheme for a reference; None for what is no URL."""
    try:
        return ada_url.join_url(base, reference)
    except ValueError:
        return None
