"""What is to be thought of the members of etcd, and of the cluster that they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crawler.coordination.checkup import Member, MemberStatus
from crawler.coordination.versions import Fitness, judge, keeps_strangers_out, read_version
from crawler.ops.findings import Finding, failure, fine, warning

DEFAULT_QUOTA_BYTES = 2 * 1024**3  # etcd's own, where --quota-backend-bytes is not given
FULL_SHARE, TIGHT_SHARE = 0.95, 0.8
MANY_REVISIONS = 1_000_000
UNCOMPACTED_REVISIONS = 100_000
SLOW_PART, TOO_SLOW_PART = 1 / 50, 1 / 5  # of the time to live, for one write

_COMPACT = "start etcd with --auto-compaction-mode=periodic --auto-compaction-retention=10m"
_FREE = "compact, run `etcdctl defrag` on one member after the other, then `etcdctl alarm disarm`"


def judge_member(status: MemberStatus) -> list[Finding]:
    """One member by itself: version, leader, alarms."""
    subject = f"etcd {status.url}"
    return [
        *_judge_version(subject, status.version),
        *([] if status.leader else [_leaderless(subject)]),
        *(_judge_complaint(subject, each) for each in status.complaints if "no leader" not in each),
    ]


def _leaderless(subject: str) -> Finding:
    advice = "start the missing members and see whether they reach one another: nothing can change"
    return failure(subject, "it sees no leader", advice)


def _judge_version(subject: str, text: str) -> list[Finding]:
    version = read_version(text)
    if version is None:
        return [warning(subject, f"cannot read its version {text!r}", "use a release of etcd")]
    fitness, reason = judge(version)
    advice = "upgrade to 3.5.30 or newer, or 3.6.11 or newer"
    if fitness is Fitness.UNFIT:
        return [failure(subject, reason.partition(";")[0], advice)]
    if fitness is Fitness.OLD:
        return [warning(subject, reason.partition(";")[0], advice)]
    said = f"version {text}"
    if not keeps_strangers_out(version):
        said += ", in which users and roles are no protection: rely on client certificates"
    return [fine(subject, said)]


def _judge_complaint(subject: str, words: str) -> Finding:
    if "NOSPACE" in words:
        return failure(subject, "alarm NOSPACE: it takes no writes", _FREE)
    if "CORRUPT" in words:
        advice = "stop that member, remove it from the cluster, and add it anew with an empty disk"
        return failure(subject, "alarm CORRUPT: members differ in what they hold", advice)
    return warning(subject, f"it complains: {words}", "see its log")


def judge_agreement(statuses: Sequence[MemberStatus]) -> list[Finding]:
    """Whether those who answered are of one cluster, and of one mind on who leads it."""
    if len({each.cluster for each in statuses}) > 1:
        advice = "name the members of one cluster only with --etcd"
        return [failure("etcd", "the endpoints belong to different clusters", advice)]
    leaders = {each.leader for each in statuses if each.leader}
    terms = sorted({each.term for each in statuses})
    if len(leaders) > 1 or len(terms) > 1:
        said = f"members differ in who leads or in the raft term ({', '.join(map(str, terms))})"
        return [warning("etcd", said, "look again; if it stays so, see the network between them")]
    if not leaders:
        return []  # each of them has said so
    return [fine("etcd", f"{len(statuses)} answer, agreed on the leader, raft term {terms[0]}")]


def judge_unreached(
    urls: Iterable[str], reasons: Iterable[str], *, any_answers: bool
) -> list[Finding]:
    """Endpoints that did not answer, beside others that did or alone."""
    weigh = warning if any_answers else failure
    advice = (
        "start it again: one more lost, and there may be no quorum"
        if any_answers
        else "start etcd, or name yours with --etcd URL"
    )
    pairs = zip(urls, reasons, strict=True)
    return [weigh(f"etcd {url}", reason, advice) for url, reason in pairs]


def judge_members(members: Sequence[Member], answered: Iterable[int]) -> list[Finding]:
    """What the cluster says of its size, and members that nobody heard."""
    heard = set(answered)
    found = [
        warning(
            f"etcd member {each.name or f'{each.id:x}'}",
            f"no answer at {', '.join(each.urls) or 'any address'}",
            "start it, or remove it with `etcdctl member remove`",
        )
        for each in members
        if each.id not in heard
    ]
    if len(members) == 1:
        return [*found, warning("etcd", "one member only", "three survive the loss of one")]
    if len(members) % 2 == 0:
        said = f"{len(members)} members survive no more losses than {len(members) - 1}"
        return [*found, warning("etcd", said, "take an odd number")]
    return [*found, fine("etcd", f"{len(members)} members")]


def judge_space(status: MemberStatus, quota_bytes: int | None) -> Finding:
    """The database against its quota; None: the quota is not known, and etcd's own is assumed."""
    subject, quota = f"etcd {status.url}", quota_bytes or DEFAULT_QUOTA_BYTES
    share = status.db_bytes / quota
    said = f"database {_mib(status.db_bytes)} of {_mib(quota)}"
    said += "" if quota_bytes else " (assumed)"
    advice = "raise --quota-backend-bytes"
    if status.used_bytes < status.db_bytes / 2:
        advice = f"`etcdctl defrag` (only {_mib(status.used_bytes)} are in use)"
    if share >= FULL_SHARE:
        return failure(subject, said, f"{advice}: when it is full, nothing can change")
    if share >= TIGHT_SHARE:
        return warning(subject, said, advice)
    return fine(subject, said)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.1f} MiB"


def judge_history(oldest: int, newest: int) -> Finding:
    """How much of the past etcd keeps, as it grows without end where nobody compacts it."""
    kept = newest - oldest + 1
    if oldest <= 1 and kept >= UNCOMPACTED_REVISIONS:
        return warning("etcd", f"{kept:,} revisions, never compacted", _COMPACT)
    if kept >= MANY_REVISIONS:
        return warning("etcd", f"it keeps {kept:,} revisions", _COMPACT)
    return fine("etcd", f"it keeps {kept:,} revisions")


def judge_write(took_s: float, ttl_s: float) -> Finding:
    """How long a write took that a quorum had to agree to, against the time to live."""
    said = f"a write takes {took_s * 1000:,.1f} ms"
    advice = "give etcd a disk of its own and a near network"
    if took_s >= ttl_s * TOO_SLOW_PART:
        return failure("etcd", said, f"{advice}, or raise --ttl: leases may run out")
    if took_s >= ttl_s * SLOW_PART:
        return warning("etcd", said, advice)
    return fine("etcd", said)
