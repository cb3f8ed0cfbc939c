"""Node records: who may write them, and what follows from one that somebody else wrote."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.coordination.election import election_value
from crawler.coordination.etcd import KeyValue
from crawler.coordination.index import Index
from crawler.coordination.registry import native_metadata, node_record, registry_key
from crawler.coordination.signing import SIGNATURE, Keyring, Seal, read_seal
from crawler.errors import Misconfigured
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node
from tests.fakes.clock import SleepClock

pytestmark = pytest.mark.threat(2, 5)

PREFIX = "/resources/election"
OURS, THEIRS = Seal(b"a secret of this cluster"), Seal(b"a secret of another one")
WORKER = Node(f"{WORKER_SERVICE}-1", WORKER_SERVICE, "10.0.0.1:9090", native_metadata("1"))
MASTER = Node(f"{MASTER_SERVICE}-1", MASTER_SERVICE, "10.0.0.2:9091", native_metadata("1"))
LEASE = 0x694DA1FD57466A05


def record(node: Node, lease: int = LEASE) -> KeyValue:
    return KeyValue(registry_key(node), node_record(node), 3, 3, lease)


def accepted(node: Node, lease: int = LEASE) -> bool:
    index = Index(PREFIX, OURS)
    index.put(record(node, lease))
    return node.id in index.workers or node.id in index.masters


def full(node: Node, lease: int = LEASE, seal: Seal = OURS) -> Node:
    """As it is written: the metadata of go-micro are signed too."""
    index = Index(PREFIX)
    index.put(record(node))
    known = {**index.workers, **index.masters}[node.id]
    return seal.sign(replace(node, metadata=known.metadata), lease)


def test_a_signed_record_counts() -> None:
    assert accepted(full(WORKER))
    assert accepted(full(MASTER))


def test_metadata_of_a_later_version_are_signed_too() -> None:
    later = full(replace(WORKER, metadata={**WORKER.metadata, "later": "new"}))
    assert accepted(later)
    assert not accepted(replace(later, metadata={**later.metadata, "later": "other"}))


@pytest.mark.parametrize(
    "forged",
    [
        WORKER,
        full(WORKER, seal=THEIRS),
        replace(full(WORKER), address="10.6.6.6:9090"),
        replace(full(WORKER), metadata={**full(WORKER).metadata, "http": "10.6.6.6:80"}),
        replace(full(WORKER), metadata={**full(WORKER).metadata, SIGNATURE: "é"}),
        replace(full(WORKER), id=f"{WORKER_SERVICE}-2"),
    ],
    ids=["unsigned", "another secret", "address", "metadata", "garbage", "another id"],
)
def test_anything_else_is_no_node(forged: Node) -> None:
    assert not accepted(forged)


def test_a_record_is_worth_nothing_under_another_lease() -> None:
    assert not accepted(full(WORKER), lease=LEASE + 1)


def test_without_a_secret_everything_is_believed() -> None:
    index = Index(PREFIX)
    index.put(record(WORKER))
    assert WORKER.id in index.workers
    assert Seal().sign(WORKER, 7) == WORKER


def test_two_secrets_go_for_each_other_while_one_is_replaced() -> None:
    old, new = OURS, Seal(b"the next secret of it")
    both = Seal(new.secret, (b"a secret of this cluster",))
    for signer, reader, believed in (
        (old, both, True),
        (both, old, True),
        (both, new, True),
        (new, both, True),
        (new, old, False),
        (old, new, False),
    ):
        node = replace(full(WORKER, seal=signer), lease=LEASE)
        assert reader.genuine(node) is believed
    assert both.newest(replace(full(WORKER, seal=both), lease=LEASE))
    assert not both.newest(replace(full(WORKER, seal=old), lease=LEASE))
    assert both.knows("a secret of this cluster")
    assert not both.knows("a secret of nobody")
    assert not Seal().knows("")


def test_records_are_judged_again_by_new_secrets() -> None:
    index = Index(PREFIX, OURS)
    index.put(record(full(WORKER, seal=THEIRS)))
    assert not index.workers
    index.reseal(THEIRS)
    assert WORKER.id in index.workers
    index.reseal(OURS)
    assert not index.workers
    index.drop(registry_key(WORKER), 9)
    index.reseal(THEIRS)
    assert not index.workers


def test_a_keyring_keeps_what_was_good(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef\n")
    keyring = Keyring(str(file), SleepClock())
    told: list[Seal] = []
    keyring.tell(told.append)
    for broken in ("short", "\n".join(str(n) * 16 for n in range(5)), ""):
        file.write_text(broken)
        with pytest.raises(Misconfigured):
            keyring.renew()
    assert keyring.seal.knows("0123456789abcdef")
    file.write_text("fedcba9876543210\n\n 0123456789abcdef \n")
    keyring.renew()
    keyring.renew()
    assert told == [Seal(b"fedcba9876543210", (b"0123456789abcdef",))]


async def test_a_secret_that_may_be_read_only_afterwards_counts_then(tmp_path: Path) -> None:
    """Its rights changed, its content did not: here as nearly as root can see it."""
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef")
    keyring = Keyring(str(file), SleepClock())
    before = keyring.seal
    file.write_text("fedcba98765432\n\n")
    os.utime(file, ns=(1, 1))
    with pytest.raises(Misconfigured):
        keyring.renew()
    file.write_text("fedcba9876543210")
    os.utime(file, ns=(1, 1))
    running = asyncio.create_task(keyring.run())
    async with asyncio.timeout(5.0):
        assert (await keyring.changed(before)).knows("fedcba9876543210")
    running.cancel()


def candidate(address: str, lease: int = LEASE) -> KeyValue:
    value = election_value("1", address).encode()
    return KeyValue(f"{PREFIX}/{lease:x}", value, 4, 4, lease)


def leader(index: Index) -> str:
    """Where calls would be forwarded to; "": nowhere."""
    return index.leader.address if index.leader is not None else ""


def test_calls_go_to_a_leader_that_is_registered_only() -> None:
    index = Index(PREFIX, OURS)
    index.put(candidate(MASTER.address))
    assert leader(index) == ""
    index.put(record(full(MASTER)))
    assert leader(index) == MASTER.address


@pytest.mark.parametrize(
    "forged", [candidate("10.6.6.6:9091"), candidate(MASTER.address, LEASE + 1)]
)
def test_a_forged_leader_is_sent_nothing(forged: KeyValue) -> None:
    index = Index(PREFIX, OURS)
    index.put(record(full(MASTER)))
    index.put(forged)
    assert leader(index) == ""


def test_a_secret_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short\n")
    with pytest.raises(Misconfigured, match="holds 5 bytes; 16 or more"):
        read_seal(str(file))
    file.write_text("0123456789abcdef\n")
    assert read_seal(str(file)).secret == b"0123456789abcdef"
    assert "0123" not in repr(read_seal(str(file)))
    with pytest.raises(Misconfigured, match="No such file"):
        read_seal(str(tmp_path / "none"))
    assert read_seal(None) == Seal()
