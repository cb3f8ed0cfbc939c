"""The text of a robots.txt as RFC 9309 reads it, for one crawler.

Beyond the RFC, as crawlers commonly do: ``Crawl-delay``, ``Request-rate`` and ``Sitemap`` are
read, misspelled fields and lines with a blank for the colon count, a version behind a product
token does not, and ``Allow: …/index.html`` allows the directory too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_SITEMAPS = 1_000
_MAX_PATTERN = 8_192  # characters once escaped; no URL of ours is as long

_AGENT, _ALLOW, _DISALLOW, _DELAY, _RATE, _SITEMAP = range(6)
_FIELDS = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), _AGENT),
    "allow": _ALLOW,
    **dict.fromkeys(
        ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), _DISALLOW
    ),
    **dict.fromkeys(("crawl-delay", "crawl delay"), _DELAY),
    **dict.fromkeys(("request-rate", "request rate"), _RATE),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map"), _SITEMAP),
}
_BREAK = re.compile("[\r\n]+")
_MARK = re.compile(rb"(?:\xef(?:\xbb\xbf?)?)?")  # a byte order mark, also one cut short
_TOKEN = re.compile("[A-Za-z_-]+")
_RATE_VALUE = re.compile(r"(\d{1,9})/(\d{1,9})([smhd]?)(?:\s|\Z)", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_ESCAPED = r"[^!-~]|[\"'<>\\^`{|}]"  # in canonical URLs: in path or query, or as it was found
_UNSAFE = re.compile(f"{_ESCAPED}|%[0-9A-Fa-f]{{2}}")
_UNSAFE_IN_URL = re.compile(f"{_ESCAPED}|[*$]|%[0-9A-Fa-f]{{2}}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _escape(found: re.Match[str]) -> str:
    """One spelling per octet (RFC 9309 2.2.2): an escape that need not be one is undone."""
    text = found[0]
    if len(text) == 1:
        return f"%{ord(text):02X}"
    char = chr(int(text[1:], 16))
    return char if char in _UNRESERVED else text.upper()


def _path(url: str) -> str:
    """Path and query of a canonical URL as patterns spell them; its own ``*`` and ``$`` are
    escaped, for that is how a pattern names them (RFC 9309 2.2.3)."""
    path = url[url.index("/", 8) :]
    return _UNSAFE_IN_URL.sub(_escape, path)


@dataclass(slots=True)
class _Group:
    """What all groups of one agent say together. Patterns in octets, one character each."""

    plain: dict[str, bool] = field(default_factory=dict)  # prefix -> allowed
    special: dict[str, bool] = field(default_factory=dict)  # with * or at the end $
    delay_s: float = 0.0

    def add(self, pattern: str, allowed: bool) -> None:
        """Note a rule; of equal ones ``Allow`` wins."""
        ends = pattern.endswith("$")
        literal = _UNSAFE.sub(_escape, pattern[:-1] if ends else pattern).replace("$", "%24")
        pattern = f"{literal}$" if ends else literal
        if pattern[:1] not in ("/", "*") or len(pattern) > _MAX_PATTERN:
            return
        rules = self.special if ends or "*" in pattern else self.plain
        rules[pattern] = allowed or rules.get(pattern, False)
        if allowed and pattern.endswith("/index.html"):
            self.special.setdefault(f"{pattern.removesuffix('index.html')}$", True)


class RobotsTxt:
    """A robots.txt read for the crawler with this product token.

    ``delay_s``: seconds between requests, by Crawl-delay or Request-rate, whichever is slower.
    """

    def __init__(self, body: bytes, token: str) -> None:
        sitemaps: list[str] = []
        ours, all_others = _read(body, token.lower(), sitemaps)
        self.sitemaps = tuple(sitemaps)
        group = ours if ours is not None else all_others
        self.delay_s = group.delay_s if group is not None else 0.0
        self._plain = group.plain if group is not None else {}
        self._lengths = sorted({len(prefix) for prefix in self._plain}, reverse=True)
        special = group.special.items() if group is not None else ()
        self._special = [
            (len(pattern), allowed, *_pieces(pattern))
            for pattern, allowed in sorted(special, key=lambda rule: (-len(rule[0]), not rule[1]))
        ]

    def allows(self, url: str) -> bool:
        """Whether the canonical URL may be fetched: the longest pattern that matches decides."""
        if not self._plain and not self._special:
            return True
        path = _path(url)
        if path == "/robots.txt":
            return True
        length, allowed = self._longest_prefix(path)
        for size, allows, pieces, ends in self._special:
            if size < length or (size == length and (allowed or not allows)):
                break
            if _matches(path, pieces, ends):
                return allows
        return allowed

    def _longest_prefix(self, path: str) -> tuple[int, bool]:
        plain, most = self._plain, len(path)
        for length in self._lengths:
            if length <= most and (allowed := plain.get(path[:length])) is not None:
                return length, allowed
        return -1, True


def sitemaps_in(body: bytes) -> Sequence[str]:
    """The URLs of its ``Sitemap`` lines as they stand there, at most `MAX_SITEMAPS`."""
    return RobotsTxt(body, "").sitemaps


def _pieces(pattern: str) -> tuple[tuple[str, ...], bool]:
    """What stands between the ``*``, and whether the last piece must be at the end."""
    ends = pattern.endswith("$")
    return tuple(re.split(r"\*+", pattern[:-1] if ends else pattern)), ends


def _matches(path: str, pieces: tuple[str, ...], ends: bool) -> bool:
    """Take each piece where it comes first: right for patterns without alternatives, and linear."""
    first = pieces[0]
    if not path.startswith(first):
        return False
    if len(pieces) == 1:
        return not ends or len(path) == len(first)
    at = len(first)
    for piece in pieces[1:-1]:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    last = pieces[-1]
    if ends:
        return len(path) - len(last) >= at and path.endswith(last)
    return path.find(last, at) >= 0


def _read(body: bytes, token: str, sitemaps: list[str]) -> tuple[_Group | None, _Group | None]:
    """The merged groups of this token and of ``*``; None where there is none.

    Lines that are no rules do not end a list of user agents (RFC 9309 2.2.4); for a delay the
    agents named since the line before count, as sites mean it.
    """
    groups: dict[str, _Group] = {}
    named: list[_Group] = []  # by the user-agent lines that the next rules are for
    newest = 0  # those of them from here on were named since the last line of another kind
    ruled = fresh = False
    for kind, value in _lines(body):
        if kind == _AGENT:
            if ruled:
                named, newest, ruled = [], 0, False
            if not fresh:
                newest, fresh = len(named), True
            agent = _agent(value)
            if agent in ("*", token):
                named.append(groups.setdefault(agent, _Group()))
        elif kind == _SITEMAP:
            if value and len(sitemaps) < MAX_SITEMAPS:
                sitemaps.append(value.encode("latin-1").decode("utf-8", "replace"))
        elif kind in (_ALLOW, _DISALLOW):
            ruled, fresh = True, False
            for group in named if value else ():
                group.add(value, kind == _ALLOW)
        else:
            fresh = False
            for group in named[newest:]:
                group.delay_s = max(group.delay_s, _delay(kind, value))
    return groups.get(token), groups.get("*")


def _lines(body: bytes) -> Iterator[tuple[int, str]]:
    """Field and value of each line that has a known field. One character is one octet."""
    text = _MARK.sub(b"", body, count=1).decode("latin-1")
    for line in _BREAK.split(text):
        if "#" in line:
            line = line[: line.index("#")]
        name, colon, value = line.partition(":")
        kind = _FIELDS.get(name.strip(" \t").lower()) if colon else None
        if kind is None:
            words = line.split()
            if len(words) != 2:
                continue
            kind, value = _FIELDS.get(words[0].lower()), words[1]
        if kind is not None:
            yield kind, value.strip(" \t\0")


def _agent(value: str) -> str:
    """The product token of a user-agent line, in lower case; ``*`` for all others; "": none."""
    if value[:1] == "*" and not value[1:2].strip():
        return "*"
    found = _TOKEN.match(value)
    return found[0].lower() if found is not None else ""


def _delay(kind: int, value: str) -> float:
    """Seconds; 0.0 for what is no such value."""
    if kind == _DELAY:
        try:
            seconds = float(value)
        except ValueError:
            return 0.0
        return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
    rate = _RATE_VALUE.match(value)
    if rate is None or not int(rate[1]):
        return 0.0
    return int(rate[2]) * _SECONDS[rate[3].lower()] / int(rate[1])
