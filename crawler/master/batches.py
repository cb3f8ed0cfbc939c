"""Many changes in few transactions: as many in each as etcd takes, and ever fewer where one of them
was overtaken, so that it does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crawler.coordination.etcd import Compare, Op
from crawler.failpoint import hit
from crawler.tasks import TaskGroup

MAX_OPS = 120  # etcd's limit is 128, for compares and operations each
MAX_BYTES = 1_000_000  # etcd's limit is 1.5 MiB per request
AT_ONCE = 4  # transactions; more only wait for one another in etcd


class Writer(Protocol):
    """The leader's way of writing; `Office`."""

    async def write(self, compares: Sequence[Compare], ops: Sequence[Op]) -> int | None:
        """The revision; None: something compared has changed."""


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


def compares_of(changes: Iterable[Change]) -> list[Compare]:
    """What all of them compare, each once."""
    return list(dict.fromkeys(each for change in changes for each in change.compares))


def batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Group changes, in order; the compares of each group count once."""
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
            yield group
            group, compares, ops, size_bytes = [], {}, 0, 0
        group.append(change)
        compares |= dict.fromkeys(change.compares)
        ops += len(change.ops)
        size_bytes += change.size_bytes
    if group:
        yield group


async def write_all(
    office: Writer, changes: Sequence[Change], written: Callable[[str, int], None]
) -> None:
    """Write what still can be; ``written`` is told each name and revision, at once.

    The changes are of different resources, so that several transactions are under way at a time.
    Raises what the first of them to fail raised; the others may have been carried out or not.
    """
    groups = batches(changes)

    async def write_some() -> None:
        for group in groups:
            await _write(office, group, written)

    try:
        async with TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(write_some(), name=f"write changes {number}")
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _write(
    office: Writer, group: Sequence[Change], written: Callable[[str, int], None]
) -> None:
    """One transaction, and where something compared has changed, one for each half."""
    await hit("leader.before_assign_txn")
    ops = [op for change in group for op in change.ops]
    revision = await office.write(compares_of(group), ops)
    if revision is not None:
        for change in group:
            written(change.name, revision)
    elif len(group) > 1:
        middle = len(group) // 2
        await _write(office, group[:middle], written)
        await _write(office, group[middle:], written)
