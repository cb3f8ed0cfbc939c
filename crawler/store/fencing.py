"""Decides which claim may stand: the rule of tokens, without a database.

A token is (epoch, revision) and is compared as a pair: etcd reissues revisions when it is created
anew, and the epoch then rises.
"""

from __future__ import annotations

from dataclasses import dataclass

Token = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fence:
    """What stands for a part. Not ``open``: raised by a fence, so its own token is refused too."""

    token: Token
    open: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one `Frontier`: every write of it proves that this row still stands."""

    resource_id: str
    part: int
    token: Token
    number: int
    run_id: int
    run: int
    definition_revision: int
    node: str
    parts: int = 1
    sinks: bool = False  # whether items are sent anywhere
    base: int | None = None  # the run that this one builds on, by its run_id
    begun_at: float = 0.0  # when the run began, by the store's clock
    request_id: str = ""  # of the request that the crawl goes back to


def may_claim(standing: Fence | None, token: Token) -> bool:
    """A higher token may always, the same one while no fence was raised to it."""
    if standing is None or token > standing.token:
        return True
    return token == standing.token and standing.open


def may_raise(standing: Fence | None, token: Token) -> bool:
    """Whether a fence at ``token`` changes anything: not where something newer stands."""
    return standing is None or token >= standing.token


def outranks(token: Token, standing: Fence) -> bool:
    """Whether a claimant of ``token`` may end the process that claimed what stands."""
    return token > standing.token
