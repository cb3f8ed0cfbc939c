"""Which parts of a URL make no other page: sorted and dropped as a definition wants it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import re2

Tidy = Callable[[str], str]

# What is added to links only to tell where a visitor came from.
_TRACKING = """
    utm_* mtm_* pk_* piwik_* hsa_* gclid gclsrc dclid gbraid wbraid srsltid _gl _ga fbclid msclkid
    yclid ysclid _openstat twclid ttclid igshid li_fat_id epik s_cid mc_cid mc_eid mkt_tok _hsenc
    _hsmi __hstc __hssc __hsfp hsCtaTracking vero_id oly_anon_id oly_enc_id rb_clickid wickedid
    ml_subscriber ml_subscriber_hash
"""
TRACKING = tuple(_TRACKING.split())
_WORDS = {"tracking": TRACKING}

_SESSIONS = frozenset(["jsessionid", "phpsessid", "cfid", "cftoken", "zenid", "oscsid"])
_MAYBE_SESSIONS = frozenset(["sid", "sessid", "sessionid", "session_id", "session"])
_PATH_SESSION = re.compile(r";jsessionid=[^/;?]*", re.IGNORECASE)
_HINT = re.compile("sess|sid=|cfid|cftoken|zenid", re.IGNORECASE)
_TOKEN = re.compile(r"[0-9A-Za-z._,!-]{10,}")
_LONG_TOKEN = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z-]{20,}")


def tidier(*, sort_query: bool, drop_query: Sequence[str], session_ids: bool) -> Tidy | None:
    """What turns canonical URLs into those of their pages; None where nothing is to be done.

    ``drop_query``: names of parameters, with ``*`` for any run of characters; the word
    ``tracking`` stands for `TRACKING`. ``session_ids``: drop what can only be one.
    """
    names = [name for word in drop_query for name in _WORDS.get(word, (word,))]
    dropped = _any_of(names) if names else None
    if not (sort_query or dropped or session_ids):
        return None

    def tidy(url: str) -> str:
        if session_ids and ";" in url:
            url = _PATH_SESSION.sub("", url)
        if "?" not in url:
            return url
        path, _, query = url.partition("?")
        parts = query.split("&")
        if dropped is not None:
            parts = [part for part in parts if not dropped(part.partition("=")[0])]
        if session_ids and _HINT.search(query):
            parts = [part for part in parts if not _is_session(part)]
        if sort_query:
            parts.sort(key=lambda part: part.partition("=")[0])
        return f"{path}?{'&'.join(parts)}" if parts and parts != [""] else path

    return tidy


def _any_of(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name fits one of them, in linear time."""
    names = frozenset(glob for glob in globs if "*" not in glob)
    wild = ["[^&]*".join(map(re2.escape, glob.split("*"))) for glob in globs if "*" in glob]
    if not wild:
        return names.__contains__
    pattern = re2.compile("|".join(dict.fromkeys(wild)))
    return lambda name: name in names or pattern.fullmatch(name) is not None


def _is_session(part: str) -> bool:
    """Whether a parameter is a session's id by its name and the looks of its value."""
    name, _, value = part.partition("=")
    name = name.lower()
    if name in _SESSIONS or name.startswith("aspsessionid"):
        return _TOKEN.fullmatch(value) is not None
    return name in _MAYBE_SESSIONS and _LONG_TOKEN.fullmatch(value) is not None
