"""What one term of office works with, and the only way in which a leader writes to etcd.

Every write compares the term's election key in its own transaction, so that a leader that was
paused and has been replaced changes nothing, whatever it still believes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crawler.clock import Clock
from crawler.coordination.catalog import Catalog
from crawler.coordination.election import Term
from crawler.coordination.etcd import Compare, Etcd, KeyValue, Op, fetch, put
from crawler.coordination.session import Session
from crawler.errors import TermLost


@dataclass(frozen=True, slots=True)
class Office:
    """One term: who leads (``term``, under ``session``), and where."""

    etcd: Etcd
    catalog: Catalog
    session: Session
    term: Term
    clock: Clock

    def check(self) -> None:
        """Raise `TermLost` once the lease may have run out: by then another may lead, although
        nobody told us."""
        if self.session.remaining() <= 0:
            raise TermLost("this master's lease has run out")

    async def begin(self) -> int:
        """The term's first write, to its own key, which also shows that it has not been lost while
        it was waited for. No other leader writes after the revision that is returned."""
        kv = await self.etcd.get(self.term.key)
        if kv is None:
            raise TermLost("the election key is gone")
        own = put(self.term.key, kv.value, self.session.lease)
        result = await self.etcd.txn((self.term.holds(),), (own,), guarded=True)
        if not result.succeeded:
            raise TermLost("the election key is gone")
        return result.revision

    async def write(self, compares: Sequence[Compare], ops: Sequence[Op]) -> int | None:
        """Do ``ops`` in one transaction if all ``compares`` hold and the term does.

        Returns the revision; None: something compared has changed, and a new look tells what is
        there now. That may be this very write: its answer can be lost with a member of etcd, and
        then it is sent once more. So ``ops`` must change what is compared, or be the same when
        done twice. Raises `TermLost`. The catalog knows of the write when this returns, but of what
        was deleted by prefix from the watch.
        """
        self.check()
        then = tuple(ops)
        term = (fetch(self.term.key),)
        result = await self.etcd.txn((self.term.holds(), *compares), then, term, guarded=True)
        if result.succeeded:
            self._tell(then, result.revision)
            return result.revision
        kvs = result.responses[0]
        if not kvs or kvs[0].create_revision != self.term.revision:
            raise TermLost("another master leads, or this one's election key is gone")
        return None

    def _tell(self, ops: Sequence[Op], revision: int) -> None:
        written = tuple(
            KeyValue(op.key, op.value, revision, revision, op.lease)
            for op in ops
            if op.kind == "put"
        )
        deleted = tuple(op.key for op in ops if op.kind == "delete" and not op.prefix)
        self.catalog.observe(written, deleted, revision=revision)
