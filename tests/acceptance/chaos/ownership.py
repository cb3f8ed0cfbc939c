"""One effective leader, one effective owner, one node of each id: S1, S2, S3, S9 and S10 of a
recorded history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.acceptance.chaos.history import Call, Commit, EtcdWrite, Finding, Kind, Outcome
from tests.acceptance.chaos.replay import (
    ELECTION,
    NODES,
    RESOURCES,
    WORKERS,
    Life,
    Naming,
    address_in,
    by_unit,
    lives,
    namings,
    terms,
)

NAME_BYTES = 63  # PostgreSQL cuts the name of a session here


def check_terms(writes: Sequence[EtcdWrite]) -> Finding:
    """S1. Terms never fall along revisions; each was held, and came first, when it was written;
    and nothing is assigned without one."""
    by_revision = terms(writes)
    candidates = lives(writes, ELECTION)
    violations = list(_unsigned(namings(writes), by_revision))
    highest = 0
    for revision, found in sorted(by_revision.items()):
        for term in sorted(found):
            if term < highest:
                violations.append(f"revision {revision}: term {term} wrote after term {highest}")
            violations += _unheld(term, revision, candidates)
            highest = max(highest, term)
    known = {term for found in by_revision.values() for term in found}
    looked_at = f"{len(by_revision)} revisions with decisions, {len(known)} terms"
    return Finding("S1 one effective leader", looked_at, tuple(violations))


def check_namings(writes: Sequence[EtcdWrite]) -> Finding:
    """S2. Whoever is newly given a unit is registered, at that address, at that revision."""
    workers = lives(writes, WORKERS)
    violations, looked_at = [], 0
    for found in by_unit(namings(writes)).values():
        before: Naming | None = None
        for naming in found:
            if naming.node_id and not _keeps(before, naming):
                looked_at += 1
                if not any(_is_home(life, naming) for life in workers):
                    violations.append(
                        f"revision {naming.revision}: {naming.unit} was given to "
                        f"{naming.node_id}|{naming.address}, which was not registered"
                    )
            before = naming
    return Finding("S2 assignment", f"{looked_at} assignments", tuple(violations))


def check_tokens(commits: Sequence[Commit], writes: Sequence[EtcdWrite] | None) -> Finding:
    """S3. Tokens never fall per resource and part; who commits is whom an open fence names; and
    its token was assigned to it in etcd.

    The last only where etcd's history is known, and of the newest epoch only: that history is of
    one etcd.
    """
    violations = list(_falling(commits))
    for commit in commits:
        where = f"commit {commit.seq} of {commit.resource_id}/{commit.part}"
        if not commit.open:
            violations.append(f"{where}: its fence was closed")
        if commit.node != _cut(commit.fence_node):
            violations.append(
                f"{where}: {commit.node!r} committed, the fence named {commit.fence_node!r}"
            )
    if writes is not None:
        violations += _unassigned(commits, namings(writes))
    tokens = {(each.resource_id, each.part, each.epoch, each.revision) for each in commits}
    looked_at = f"{len(commits)} commits under {len(tokens)} tokens"
    return Finding("S3 fence", looked_at, tuple(violations))


def check_deletes(
    commits: Sequence[Commit], calls: Sequence[Call], writes: Sequence[EtcdWrite] | None
) -> Finding:
    """S9. No commit of a resource ID after the ok of its delete, nor after its key was erased,
    which a leader does after the database has its tombstone."""
    deleted = _erased(namings(writes or ()))
    for call in calls:
        if call.kind is Kind.DELETE and call.outcome is Outcome.OK and call.resource_id:
            known = deleted.get(call.resource_id, call.returned)
            deleted[call.resource_id] = min(known, call.returned)
    violations = tuple(
        f"commit {commit.seq}: {commit.url} of {commit.resource_id}, "
        f"{commit.at - deleted[commit.resource_id]:.3f} s after its delete"
        for commit in commits
        if commit.at > deleted.get(commit.resource_id, float("inf"))
    )
    return Finding("S9 delete", f"{len(deleted)} deleted resources", violations)


def check_identities(writes: Sequence[EtcdWrite]) -> Finding:
    """S10. A node's place is taken only once it is free: while a registration lives, nobody else
    is written in its place."""
    first: dict[tuple[str, int], str] = {}
    violations: list[str] = []
    for write in writes:
        if write.value is None or not write.key.startswith(NODES):
            continue
        address = address_in(write.value)
        had = first.setdefault((write.key, write.create_revision), address)
        if had != address:
            violations.append(
                f"revision {write.revision}: {write.key} went from {had} to {address} in one life"
            )
    return Finding("S10 identity", f"{len(first)} registrations", tuple(violations))


def _unsigned(found: Sequence[Naming], by_revision: dict[int, set[int]]) -> Iterator[str]:
    for naming in found:
        if naming.resource_id and not by_revision.get(naming.revision):
            yield f"revision {naming.revision}: {naming.unit} was written by no leader"


def _unheld(term: int, revision: int, candidates: Sequence[Life]) -> Iterator[str]:
    there = [life.created for life in candidates if life.covers(revision)]
    if term not in there:
        yield f"revision {revision}: no election key of term {term} was there"
    elif term != min(there):
        yield f"revision {revision}: term {term} wrote while term {min(there)} stood before it"


def _keeps(before: Naming | None, naming: Naming) -> bool:
    """Whether it is left where it was, its token raised: that names nobody anew."""
    return before is not None and (before.resource_id, before.node_id, before.address) == (
        naming.resource_id,
        naming.node_id,
        naming.address,
    )


def _is_home(life: Life, naming: Naming) -> bool:
    return (
        life.key == WORKERS + naming.node_id
        and life.covers(naming.revision)
        and address_in(life.value) == naming.address
    )


def _falling(commits: Sequence[Commit]) -> Iterator[str]:
    highest: dict[tuple[str, int], tuple[int, int]] = {}
    for commit in sorted(commits, key=lambda each: each.seq):
        unit, token = (commit.resource_id, commit.part), (commit.epoch, commit.revision)
        if token < highest.get(unit, token):
            yield f"commit {commit.seq} of {unit}: token {token} after {highest[unit]}"
        highest[unit] = max(token, highest.get(unit, token))


def _unassigned(commits: Sequence[Commit], found: Sequence[Naming]) -> Iterator[str]:
    given = {(each.resource_id, each.part, each.revision): each.node_id for each in found}
    newest = max((commit.epoch for commit in commits), default=0)
    for commit in commits:
        token = (commit.resource_id, commit.part, commit.revision)
        if commit.epoch == newest and _cut(given.get(token, "")) != commit.node:
            yield (
                f"commit {commit.seq}: {commit.node!r} was never assigned {token}; "
                f"that went to {given.get(token)!r}"
            )


def _erased(found: Sequence[Naming]) -> dict[str, float]:
    """When the resource's own key was heard to be deleted, by ID."""
    erased: dict[str, float] = {}
    held: dict[str, str] = {}
    for naming in found:
        if not naming.unit.startswith(RESOURCES):
            continue
        if naming.resource_id:
            held[naming.unit] = naming.resource_id
        elif naming.unit in held:
            erased[held.pop(naming.unit)] = naming.at
    return erased


def _cut(name: str) -> str:
    return name.encode()[:NAME_BYTES].decode(errors="ignore")
