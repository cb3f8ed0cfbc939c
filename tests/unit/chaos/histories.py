"""Small histories, made up: a run that kept every promise, and the pieces to break it with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from tests.acceptance.chaos.history import (
    Call,
    Commit,
    EtcdWrite,
    History,
    Hit,
    ItemRow,
    Kind,
    Met,
    Outcome,
    PageRow,
)
from tests.acceptance.chaos.liveness import Bounds
from tests.acceptance.chaos.outcome import TruePage, Truth, crawl_of
from tests.acceptance.chaos.replay import ELECTION, WORKERS
from tests.acceptance.chaos.verdict import Needs

ONE, TWO = "go.micro.server.worker-1", "go.micro.server.worker-2"
ADDRESS = "10.0.0.1:9090"
SPEC = '{"start_urls":["https://a/"]}'
OTHER_SPEC = '{"start_urls":["https://b/"]}'
BOUNDS = Bounds(leaderless_s=2.0, orphaned_s=3.0, moves=2, overlaps=1)
NEEDS = Needs(terms=2, refusals=1, unknown=0, ambiguous=0, compactions=0, busy=0.5)


class Etcd:
    """Writes as etcd would number them; a second passes with each revision."""

    def __init__(self) -> None:
        self.writes: list[EtcdWrite] = []
        self.revision = 1
        self._created: dict[str, int] = {}

    def txn(self, *puts: tuple[str, object], deleted: Iterable[str] = ()) -> int:
        """One transaction; the value of a put is text, or anything as JSON."""
        self.revision += 1
        for key, value in puts:
            text = value if isinstance(value, str) else json.dumps(value)
            created = self._created.setdefault(key, self.revision)
            self._note(key, text.encode(), created)
        for key in deleted:
            del self._created[key]
            self._note(key, None, 0)
        return self.revision

    def stand(self, name: str) -> int:
        """A candidate; its term."""
        return self.txn((f"{ELECTION}{name}", name))

    def lead(self, name: str) -> int:
        """The first write of a leader, to its own key."""
        return self.txn((f"{ELECTION}{name}", name))

    def resign(self, name: str) -> int:
        return self.txn(deleted=[f"{ELECTION}{name}"])

    def join(self, node: str, address: str = ADDRESS) -> int:
        return self.txn((WORKERS + node, {"nodes": [{"id": node, "address": address}]}))

    def leave(self, node: str) -> int:
        return self.txn(deleted=[WORKERS + node])

    def assign(self, term: int, node: str, name: str = "a", resource_id: str = "7") -> int:
        """The token. ``node`` "": given to nobody."""
        home = f"{node}|{ADDRESS}" if node else ""
        return self.txn(
            (f"/resources/{name}", {"ID": resource_id, "Name": name, "AssignedNode": home}),
            (f"/crawler/decisions/{name}", {"node": node, "reason": "", "at": 1, "term": term}),
        )

    def define(self, name: str, spec: str) -> int:
        return self.txn((f"/crawler/definitions/{name}", spec))

    def mark_deleted(self, name: str) -> int:
        return self.txn((f"/crawler/desired/{name}", {"state": "deleted"}))

    def erase(self, name: str) -> int:
        return self.txn(deleted=[f"/resources/{name}"])

    def _note(self, key: str, value: bytes | None, created: int) -> None:
        self.writes.append(EtcdWrite(self.revision, key, value, created, float(self.revision)))


def call(
    kind: Kind,
    invoked: float,
    returned: float,
    outcome: Outcome = Outcome.OK,
    *,
    spec: str = "",
    resource_id: str = "",
) -> Call:
    """A call on the name "a"."""
    return Call("c1", "a", kind, spec, invoked, returned, outcome, resource_id)


def commit(seq: int, url: str, node: str, revision: int, at: float = 0.0) -> Commit:
    """A completion of a page of resource 7 under an open fence that names its node."""
    when = at or float(revision)
    return Commit(seq, when, "7", 0, 1, url, "done", node, 1, revision, node, open=True)


def site(url: str) -> TruePage:
    """A start page that links to two others; each has one item, but the start page."""
    links = ("https://a/1", "https://a/2") if url == "https://a/" else ("https://a/",)
    items = () if url == "https://a/" else (json.dumps({"url": url}),)
    return TruePage(url, links=links, items=items)


TRUTH: Truth = {"7": crawl_of(["https://a/"], site)}
PAGES = tuple(PageRow("7", 1, url, "done") for url in TRUTH["7"].pages)
ITEMS = tuple(
    ItemRow("7", 1, page.url, 0, item)
    for page in TRUTH["7"].pages.values()
    for item in page.items or ()
)


def kept() -> History:
    """Two terms and two workers; the second ones follow when the first ones die."""
    etcd = Etcd()
    first, second = etcd.stand("m1"), etcd.stand("m2")
    etcd.lead("m1")
    etcd.join(ONE)
    etcd.join(TWO)
    etcd.define("a", SPEC)
    before = etcd.assign(first, ONE)
    etcd.resign("m1")
    etcd.lead("m2")
    etcd.leave(ONE)
    after = etcd.assign(second, TWO)
    return History(
        began=1.0,
        ended=etcd.revision + 1.0,
        first_fault=etcd.revision - 2.0,
        writes=tuple(etcd.writes),
        commits=(
            commit(1, "https://a/", ONE, before),
            commit(2, "https://a/1", ONE, before),
            commit(3, "https://a/2", TWO, after),
        ),
        calls=(
            call(Kind.PUT, 6.0, 8.5, spec=SPEC, resource_id="7"),
            call(Kind.GET, 9.0, 9.5, spec=SPEC, resource_id="7"),
        ),
        hits=tuple(Hit(page.url, 8.0 + n, 8.5 + n, ONE) for n, page in enumerate(PAGES)),
        pages=PAGES,
        items=ITEMS,
        met=Met(refusals=1),
    )


def changed(number: int, **fields: object) -> tuple[Commit, ...]:
    """The commits of `kept`, one of them otherwise."""
    commits = list(kept().commits)
    commits[number] = replace(commits[number], **fields)  # type: ignore[arg-type]
    return tuple(commits)
