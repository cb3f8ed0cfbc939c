"""What a batch of visits comes to: the rows and counts of one commit, worked out for every backend.

Rows are tuples in the order in which the backends' statements take them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crawler.model import Item, PageState, Request, Visit
from crawler.store.cleaning import (
    clean_count,
    clean_seconds,
    clean_size,
    clean_text,
    encode_carry,
    encode_fields,
    encode_names,
)
from crawler.store.fencing import Claim
from crawler.store.heritage import taken
from crawler.store.parts import part_of

LONGEST_WAIT_S = 24 * 3600.0
STRIKES_TO_FAIL = 3
ATTEMPTS_KEPT = 20  # of one page
_MISSED = {PageState.PENDING, PageState.FAILED}

Row = tuple[Any, ...]


@dataclass(slots=True)
class Delta:
    """What one transaction adds to the counters of its part."""

    known: int = 0
    done: int = 0
    failed: int = 0
    excluded: int = 0
    items: int = 0
    incomplete_items: int = 0
    fetched_bytes: int = 0
    unchanged: int = 0
    kept: int = 0

    def count(self, state: PageState) -> None:
        """Note that one known page left PENDING for ``state``."""
        if state is PageState.DONE:
            self.done += 1
        elif state is PageState.FAILED:
            self.failed += 1
        elif state is PageState.EXCLUDED:
            self.excluded += 1

    def complete(self, visit: Visit) -> None:
        """Note what a final visit adds."""
        self.count(visit.state)
        self.fetched_bytes += clean_size(visit.size_bytes)
        self.items += len(visit.items)
        self.incomplete_items += sum(1 for item in visit.items if item.missing)
        self.unchanged += visit.unchanged

    def keep(self, incomplete: Sequence[bool]) -> None:
        """Note items that were taken over: of each, whether fields are missing."""
        self.items += len(incomplete)
        self.kept += len(incomplete)
        self.incomplete_items += sum(incomplete)


@dataclass(slots=True)
class Batch:
    """The effective part of a batch. ``pages``: by seq, for the last word on each page counts, and
    a statement for many rows takes any of two for one. ``links`` and ``excluded`` hold each
    fingerprint once, in the order found; the first one wins. They are not counted yet: only the
    database knows which of them are new. ``unchanged``: pages of which the base's items are to be
    taken over; ``shares``: those of which its links are, with the first and the number of these
    (None: all)."""

    pages: dict[int, Row] = field(default_factory=dict)
    attempts: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)
    shares: list[tuple[bytes, int, int | None]] = field(default_factory=list)
    links: dict[bytes, tuple[Request, bytes]] = field(default_factory=dict)
    excluded: dict[bytes, tuple[Request, bytes, str]] = field(default_factory=dict)
    delta: Delta = field(default_factory=Delta)

    def gather(self, visit: Visit) -> None:
        """Take the links of one effective visit."""
        parent = visit.request.fingerprint
        links, excluded = self.links, self.excluded
        for link in visit.links:
            if link.fingerprint not in links:
                links[link.fingerprint] = link, parent
        for link, reason in visit.excluded:
            if link.fingerprint not in excluded:
                excluded[link.fingerprint] = link, parent, reason

    def inherit(self, rows: Iterable[Row]) -> None:
        """Take the links of unchanged pages, from rows of ``select_children``."""
        for row in rows:
            link, reason = taken(row)
            parent = link.parent or b""
            if reason is None:
                self.links.setdefault(link.fingerprint, (link, parent))
            else:
                self.excluded.setdefault(link.fingerprint, (link, parent, reason))

    def fingerprints(self) -> list[bytes]:
        """Of everything found."""
        return [*self.links, *self.excluded]

    def new_links(self, claim: Claim, known: set[bytes]) -> list[Row]:
        """Rows of those to follow; what one page follows and another excludes is followed."""
        return [
            page_row(claim, link, parent)
            for key, (link, parent) in self.links.items()
            if key not in known
        ]

    def new_excluded(self, claim: Claim, known: set[bytes]) -> list[Row]:
        """Rows of those that are known only to be told about."""
        return [
            page_row(claim, link, parent, PageState.EXCLUDED, reason)
            for key, (link, parent, reason) in self.excluded.items()
            if key not in known and key not in self.links
        ]

    def revival(self, claim: Claim, fingerprint: bytes) -> Row:
        """The change of a row that stood EXCLUDED and is followed now."""
        request, parent = self.links[fingerprint]
        return (*_way(request, parent), claim.run_id, fingerprint)


def work_out(
    claim: Claim, visits: Sequence[Visit], pending: Mapping[bytes, tuple[int, int]], now: float
) -> Batch:
    """What these visits change. ``pending``: seq and attempts of each visited page that is
    pending, by fingerprint; visits to others change nothing."""
    batch = Batch()
    standing = dict(pending)
    for visit in visits:
        fingerprint = visit.request.fingerprint
        if (row := standing.get(fingerprint)) is None:
            continue
        seq, attempts = row
        made = _attempts(visit, attempts)
        batch.pages[seq] = _page_change(visit, seq, made, now)
        if visit.reason and visit.state in _MISSED and made > attempts:
            batch.attempts.append(attempt_row(claim, visit, now))
        batch.gather(visit)
        if visit.unchanged:
            batch.shares.append((fingerprint, *visit.share))
        if visit.state is PageState.PENDING:
            standing[fingerprint] = seq, made
            batch.delta.fetched_bytes += clean_size(visit.size_bytes) if made > attempts else 0
        else:
            del standing[fingerprint]  # a second visit in this batch changes nothing
            batch.delta.complete(visit)
            batch.items.extend(_item_rows(claim, visit, now))
            if visit.unchanged:
                batch.unchanged.append(fingerprint)
    return batch


def struck(strikes: int, *, bound: bool) -> PageState:
    """What becomes of a pending page that has killed its process so many times. A ``bound`` one
    carries what is written with its end, so it is not ended here."""
    return PageState.FAILED if strikes >= STRIKES_TO_FAIL and not bound else PageState.PENDING


def attempt_row(claim: Claim, visit: Visit, now: float) -> Row:
    """A row as ``insert_attempt`` takes it, of what did not come to a page."""
    return (
        claim.run_id,
        visit.request.fingerprint,
        now,
        visit.state.value,
        clean_count(visit.status),
        clean_text(visit.reason),
        clean_seconds(visit.elapsed_s),
        claim.node,
    )


def strike_row(claim: Claim, fingerprint: bytes, state: PageState, reason: str, now: float) -> Row:
    """The same, of a page that killed its process."""
    return claim.run_id, fingerprint, now, state.value, 0, clean_text(reason), 0.0, claim.node


def page_row(
    claim: Claim,
    request: Request,
    parent: bytes | None,
    state: PageState = PageState.PENDING,
    reason: str = "",
) -> Row:
    """A row as ``insert_page`` takes it."""
    return (
        claim.run_id,
        part_of(request.host, claim.parts),
        state.value,
        clean_text(reason),
        request.fingerprint,
        clean_text(request.url),
        clean_text(request.host),
        request.method,
        request.body,
        request.bound,
        *_way(request, parent),
    )


def _way(request: Request, parent: bytes | None) -> Row:
    """What depends on the way by which a page is found."""
    return (
        clean_count(request.depth),
        clean_count(request.priority),
        None if request.rule is None else clean_text(request.rule),
        encode_carry(request.carry),
        request.parent if request.parent is not None else parent,
    )


def _attempts(visit: Visit, attempts: int) -> int:
    """Counted from what the visitor saw, so that a repeated commit of one attempt counts once."""
    if visit.state is PageState.EXCLUDED or visit.due_at:
        return attempts
    return max(attempts, clean_count(visit.request.attempts) + 1)


def _page_change(visit: Visit, seq: int, attempts: int, now: float) -> Row:
    """A row as ``complete_page`` takes it."""
    again = visit.state is PageState.PENDING and visit.retry_after_s > 0.0
    return (
        visit.state.value,
        clean_text(visit.reason),
        clean_count(visit.status),
        clean_text(visit.final_url),
        clean_text(visit.content_type),
        clean_size(visit.size_bytes),
        clean_seconds(visit.elapsed_s),
        clean_text(visit.rule),
        now,
        attempts,
        now + min(visit.retry_after_s, LONGEST_WAIT_S) if again else 0.0,
        *_imprint(visit, now),
        seq,
    )


def _imprint(visit: Visit, now: float) -> Row:
    """What a later run can ask by: digest, etag, last_modified, interval_s and due_at."""
    imprint = visit.imprint
    if imprint is None:
        return None, "", "", 0.0, 0.0
    interval_s = clean_seconds(imprint.interval_s)
    due_at = visit.due_at or (now + interval_s if interval_s else 0.0)
    return (
        imprint.digest,
        clean_text(imprint.etag),
        clean_text(imprint.last_modified),
        interval_s,
        due_at,
    )


def _item_rows(claim: Claim, visit: Visit, now: float) -> Iterator[Row]:
    """Rows as ``insert_item`` takes them."""
    for ordinal, item in enumerate(visit.items):
        yield (
            claim.run_id,
            visit.request.fingerprint,
            ordinal,
            clean_text(item.rule),
            claim.definition_revision,
            *_item_texts(item),
            now,
        )


def _item_texts(item: Item) -> tuple[str, str | None]:
    return encode_fields(item.fields), encode_names(item.missing)
