"""Who may do what: bearer tokens with a role each, kept as hashes in a file.

One line of the file is one token: its role, the name of who has it, and the SHA-256 of the token in
hex; ``resources=N`` behind them says how many resources that name may have. Blank lines and those
that begin with ``#`` are passed over. Tokens are 256 random bits, so that a fast hash is enough.
The file may be changed while we run.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from crawler.clock import Clock, SystemClock
from crawler.errors import Misconfigured, Refused, Unauthenticated

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = re.compile(r"resources=([0-9]{1,9})")
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,512})", re.IGNORECASE)


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"  # look at everything, change nothing
    OPERATE = "operate"  # everything


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. ``name`` is "" where nobody is asked who they are; ``most`` is how many
    resources may be of that name (None: any number)."""

    name: str
    role: Role
    most: int | None = None


ANYBODY = Caller("", Role.OPERATE)
# Who showed no token, where callers are asked who they are. No token can have this name, under
# which the requests of all of them are counted.
STRANGER = Caller("(nobody)", Role.READ)

# The Authorization header of the call that is being answered: whatever is asked of other masters
# for its sake is asked in its name. And who that is.
acting_for: ContextVar[str] = ContextVar("acting_for", default="")
asking: ContextVar[Caller] = ContextVar("asking", default=ANYBODY)


def new_token() -> str:
    """A token; whoever has it is believed."""
    return f"crw_{secrets.token_urlsafe(32)}"


def line_of(token: str, name: str, role: Role, most: int | None = None) -> str:
    """What the file holds of a token. Raises `Misconfigured` for a name it cannot hold."""
    if _NAME.fullmatch(name) is None:
        raise Misconfigured(f"{name[:80]!r} is no name for a token: letters, digits and _.@-")
    limit = "" if most is None else f" resources={most}"
    return f"{role} {name} {_digest(token)}{limit}"


def read_tokens(path: Path) -> dict[str, Caller]:
    """Callers by the hash of their token. Raises `Misconfigured` that names the line."""
    found: dict[str, Caller] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misconfigured(f"tokens: {path}: {reason}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        caller = _caller(words)
        if caller is None:
            raise Misconfigured(
                f"tokens: {path}:{number}: expected a role ({', '.join(Role)}), a name, a SHA-256 "
                "and perhaps resources=N; `crawler token NAME` writes such lines"
            )
        found[words[2]] = caller
    if not found:
        raise Misconfigured(f"tokens: {path} holds no token; `crawler token NAME` adds one")
    return found


def _caller(words: list[str]) -> Caller | None:
    """What one line says; None: it says something else."""
    if len(words) not in (3, 4) or words[0] not in set(Role):
        return None
    if _NAME.fullmatch(words[1]) is None or _DIGEST.fullmatch(words[2]) is None:
        return None
    limit = _MOST.fullmatch(words[3]) if len(words) == 4 else None
    if len(words) == 4 and limit is None:
        return None
    return Caller(words[1], Role(words[0]), int(limit[1]) if limit is not None else None)


class Access:
    """The door. Without a file it stands open."""

    def __init__(self, path: Path | None = None, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._callers = read_tokens(path) if path is not None else {}
        self._signature = self._look()
        self._looked_at = self._clock.elapsed()

    @property
    def closed(self) -> bool:
        """Whether callers are asked who they are."""
        return self._path is not None

    def admit(self, authorization: str | None, need: Role) -> Caller:
        """The caller with this Authorization header, if it may.

        Raises `Unauthenticated` or `Refused`. Every hash is compared in constant time.
        """
        if self._path is None:
            return ANYBODY
        self._renew()
        bearer = _BEARER.fullmatch(authorization or "")
        if bearer is None:
            raise Unauthenticated("a token is needed: Authorization: Bearer …")
        digest = _digest(bearer[1])
        found = None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                found = caller
        if found is None:
            raise Unauthenticated("this token is not known here")
        if need is Role.OPERATE and found.role is not Role.OPERATE:
            raise Refused(f"the token of {found.name} may only read")
        return found

    def _renew(self) -> None:
        """Read the file again where it changed; a broken one changes nothing."""
        assert self._path is not None
        now = self._clock.elapsed()
        if now < self._looked_at + LOOK_AGAIN_S:
            return
        self._looked_at = now
        signature = self._look()
        if signature == self._signature:
            return
        try:
            self._callers = read_tokens(self._path)
        except Misconfigured as error:
            log.error("tokens not renewed", error=str(error))
        else:
            log.info("tokens renewed", tokens=len(self._callers))
        self._signature = signature

    def _look(self) -> tuple[int, ...]:
        if self._path is None:
            return ()
        try:
            seen = os.stat(self._path)
        except OSError:
            return ()
        # Not when it was written: one that we may not read at first is given to us afterwards.
        return seen.st_ctime_ns, seen.st_size, seen.st_ino


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
