"""What happened to a request, for its Cache-Status (RFC 9211) and for the figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from crawler.cache.fields import Fields


class Result(Enum):
    """By which requests are counted."""

    HIT = "hit"  # answered from what is kept, fresh
    REVALIDATED = "revalidated"  # from what is kept, after the origin said that it still stands
    STALE = "stale"  # from what is kept, although it is stale
    MISS = "miss"  # the origin was asked for it
    PEER = "peer"  # another worker was asked for it
    PASSED = "passed"  # caches have no part in it: other methods than GET and HEAD
    TUNNEL = "tunnel"
    REFUSED = "refused"  # answered by the proxy itself, with an error


@dataclass(slots=True)
class Note:
    """``fwd``: why it was forwarded (RFC 9211, 2.2); "" where it was not."""

    result: Result = Result.MISS
    fwd: str = ""
    fwd_status: int = 0
    ttl_s: float | None = None
    stored: bool = False
    collapsed: bool = False

    def added(self, fields: Fields, name: str) -> Fields:
        """The head of an answer with this at the end of its Cache-Status."""
        words = [name]
        if self.fwd:
            words.append(f"fwd={self.fwd}")
            words += [f"fwd-status={self.fwd_status}"] if self.fwd_status else []
        else:
            words.append("hit")
        words += [f"ttl={int(self.ttl_s)}"] if self.ttl_s is not None else []
        words += ["stored"] if self.stored else []
        words += ["collapsed"] if self.collapsed else []
        return fields.plus(("Cache-Status", "; ".join(words)))
