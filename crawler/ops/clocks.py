"""Whether the clocks of a cluster agree with the one of this machine."""

from __future__ import annotations

from crawler.ops.findings import Finding, fine, warning

FAR_S = 2.0


def judge_clock(subject: str, ahead_s: float, doubt_s: float) -> Finding:
    """``ahead_s``: how far theirs is before ours, right to ``doubt_s`` either way."""
    if abs(ahead_s) - doubt_s > FAR_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        said = f"its clock is {abs(ahead_s):,.1f} s {way} this machine's"
        return warning(subject, said, "run an NTP client on both machines")
    return fine(subject, "its clock agrees with this machine's")
