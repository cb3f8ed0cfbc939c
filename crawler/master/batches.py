"""Many changes in few transactions: as many in each as etcd takes, and singly where one of them
was overtaken, so that it does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from crawler.coordination.etcd import Compare, Op
from crawler.failpoint import hit
from crawler.master.office import Office

MAX_OPS = 120  # etcd's limit is 128, for compares and operations each
MAX_BYTES = 1_000_000  # etcd's limit is 1.5 MiB per request


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written for one resource, and what must not have changed."""

    name: str
    compares: tuple[Compare, ...]
    ops: tuple[Op, ...]

    @property
    def size_bytes(self) -> int:
        """Keys and values that it writes."""
        return sum(len(op.key) + len(op.value) for op in self.ops)


def batches(changes: Sequence[Change]) -> Iterator[tuple[list[Change], list[Compare]]]:
    """Group changes, in order, with the compares of each group once."""
    group: list[Change] = []
    compares: dict[Compare, None] = {}
    ops = size_bytes = 0
    for change in changes:
        more = [each for each in change.compares if each not in compares]
        if group and (
            len(compares) + len(more) > MAX_OPS
            or ops + len(change.ops) > MAX_OPS
            or size_bytes + change.size_bytes > MAX_BYTES
        ):
            yield group, list(compares)
            group, compares, ops, size_bytes = [], {}, 0, 0
        group.append(change)
        compares |= dict.fromkeys(change.compares)
        ops += len(change.ops)
        size_bytes += change.size_bytes
    if group:
        yield group, list(compares)


async def write_all(
    office: Office, changes: Sequence[Change], written: Callable[[str, int], None]
) -> None:
    """Write what still can be; ``written`` is told each name and revision, at once."""
    for group, compares in batches(changes):
        await hit("leader.before_assign_txn")
        revision = await office.write(compares, [op for change in group for op in change.ops])
        if revision is not None:
            for change in group:
                written(change.name, revision)
        elif len(group) > 1:
            for change in group:
                alone = await office.write(change.compares, change.ops)
                if alone is not None:
                    written(change.name, alone)
