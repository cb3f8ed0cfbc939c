"""How a worker's proxy knows a request of another's: such a request is never passed to a third.

Where nodes share a secret the mark is a MAC over the request, its time and whom it is for, good for
a minute. Without a secret it says nothing of who sent it, so it is believed only where nobody is
asked who he is, which is on loopback.
"""

from __future__ import annotations

from typing import Protocol

from crawler.proxy.refusals import Refusal

_GOOD_S = 60  # clocks of a cluster differ by less


class Sealing(Protocol):
    """The secrets that nodes share."""

    @property
    def secret(self) -> bytes | None: ...
    def stamp(self, message: str) -> str:
        """A MAC under the newest secret; "" without one."""

    def stamped(self, message: str, mark: str) -> bool:
        """Whether that is a MAC under one of them."""


def mark(seal: Sealing, to: str, method: str, url: str, now: float, text: str = "") -> str:
    """What a request to the node of that id is marked with. ``text``: what else it says."""
    at = f"{int(now)}"
    return f"{at} {seal.stamp(_message(to, method, url, at, text)) or '-'}"


def check_mark(
    seal: Sealing,
    own_id: str,
    method: str,
    url: str,
    now: float,
    given: str,
    text: str = "",
    *,
    anybody: bool,
) -> None:
    """Raises `Refusal` for a mark that no node of this cluster made for this request. ``anybody``:
    the proxy serves whoever reaches it, so that a mark gains nothing."""
    at, _, mac = given.partition(" ")
    if seal.secret is None:
        if anybody:
            return
        raise _unknown("workers whose proxies ask for tokens need the setting secret")
    fresh = at.isascii() and at.isdigit() and abs(now - int(at[:15])) <= _GOOD_S
    if not fresh or not seal.stamped(_message(own_id, method, url, at, text), mac):
        raise _unknown("its mark was made with another secret, or more than a minute ago")


def prove(seal: Sealing, given: str, url: str, text: str) -> str:
    """What an answer to a request with that mark is marked with, so that nobody else on a port that
    a node had can speak for it."""
    return seal.stamp(_answer(given, url, text)) or "-"


def proven(seal: Sealing, given: str, url: str, text: str, proof: str) -> bool:
    """Whether a node of this cluster answered so; whoever did, where there is no secret."""
    return seal.secret is None or seal.stamped(_answer(given, url, text), proof)


def _message(to: str, method: str, url: str, at: str, text: str) -> str:
    return "\n".join(("crawler proxy", to, method, url, at, *((text,) if text else ())))


def _answer(given: str, url: str, text: str) -> str:
    return "\n".join(("crawler proxy answer", given, url, text))


def _unknown(reason: str) -> Refusal:
    return Refusal(407, f"this is not known as a request of another worker: {reason}", "other")
