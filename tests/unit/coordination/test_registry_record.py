"""Node records: exact bytes out, tolerance in, and the address that is advertised."""

from __future__ import annotations

import json

import pytest

from crawler.coordination.addresses import advertised_host
from crawler.coordination.etcd import KeyValue
from crawler.coordination.registry import (
    advertise_address,
    host_identity,
    native_metadata,
    node_id,
    node_record,
    parse_node,
    registry_key,
)
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, Node

# As the Go original writes it (README of the reference).
GO_WORKER = (
    '{"name":"go.micro.server.worker","version":"latest","metadata":null,"endpoints":[{"name":'
    '"Greeter.Hello","request":{"name":"Request","type":"Request","values":[{"name":"name","type":'
    '"string","values":null}]},"response":{"name":"Response","type":"Response","values":[{"name":'
    '"greeting","type":"string","values":null}]},"metadata":{"endpoint":"Greeter.Hello","handler":'
    '"rpc","method":"POST","path":"/greeter/hello"}}],"nodes":[{"id":"go.micro.server.worker-2",'
    '"address":"192.168.0.107:9089","metadata":{"broker":"http","protocol":"grpc","registry":'
    '"etcd","server":"grpc","transport":"grpc"}}]}'
)
WORKER_KEY = "/micro/registry/go.micro.server.worker/go.micro.server.worker-2"


def kv(value: bytes, key: str = WORKER_KEY) -> KeyValue:
    return KeyValue(key, value, 7, 9, 77)


def test_a_record_is_written_as_go_micro_writes_it() -> None:
    node = Node(node_id(WORKER_SERVICE, "2"), WORKER_SERVICE, "192.168.0.107:9089")
    assert node_record(node).decode() == GO_WORKER
    assert registry_key(node) == WORKER_KEY


def test_our_metadata_stands_beside_go_micros_in_order() -> None:
    metadata = native_metadata("0.1.0", http="10.0.0.1:8081")
    node = Node(node_id(MASTER_SERVICE, "1"), MASTER_SERVICE, "10.0.0.1:9091", metadata)
    record = json.loads(node_record(node))
    assert list(record["nodes"][0]["metadata"]) == [
        "broker",
        "crawler",
        "host",
        "http",
        "protocol",
        "registry",
        "server",
        "transport",
    ]
    assert [each["name"] for each in record["endpoints"]] == ["Greeter.Hello"]
    read = parse_node(kv(node_record(node), registry_key(node)))
    assert read is not None
    assert read.native
    assert (read.id, read.service, read.address) == (node.id, node.service, node.address)
    assert (read.revision, read.lease) == (7, 77)
    assert read.metadata["host"] == host_identity()
    assert read.metadata["http"] == "10.0.0.1:8081"


def test_a_node_of_the_go_original_is_read_as_foreign() -> None:
    node = parse_node(kv(GO_WORKER.encode()))
    assert node is not None
    assert not node.native
    assert (node.id, node.address) == ("go.micro.server.worker-2", "192.168.0.107:9089")


@pytest.mark.threat(2)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'"text"',
        b"{}",
        b'{"name":"go.micro.server.worker","nodes":[]}',
        b'{"name":"go.micro.server.worker","nodes":null}',
        b'{"name":"go.micro.server.worker","nodes":[7]}',
        b'{"name":"go.micro.server.worker","nodes":[{"id":"go.micro.server.worker-2"}]}',
        GO_WORKER.replace("192.168.0.107:9089", "").encode(),
        GO_WORKER.replace('"192.168.0.107:9089"', "7").encode(),
        GO_WORKER.replace('"http"', "[]").encode(),
        GO_WORKER.replace("worker-2", "worker-3").encode(),
        GO_WORKER.replace("192.168.0.107", r"\ud800").encode(),
        GO_WORKER.replace('"metadata":{"broker"', '"metadata":[7],"more":{"broker"').encode(),
        b"0" * 1_000_000,
    ],
)
def test_garbage_is_no_node(value: bytes) -> None:
    assert parse_node(kv(value)) is None


@pytest.mark.parametrize("identity", ["", "a|b"])
def test_an_id_that_no_assignment_can_name_is_no_nodes(identity: str) -> None:
    value = GO_WORKER.replace("go.micro.server.worker-2", identity).encode()
    key = f"/micro/registry/go.micro.server.worker/{identity}"
    assert parse_node(kv(value, key)) is None


HOME = ("127.0.0.1", "192.168.0.107", "10.0.0.1")


@pytest.mark.parametrize(
    ("host", "options", "expected"),
    [
        ("127.0.0.1", {}, "127.0.0.1:9091"),
        ("localhost", {"podip": "10.1.1.1"}, "127.0.0.1:9091"),
        ("::1", {}, "[::1]:9091"),
        ("", {}, "192.168.0.107:9091"),
        ("0.0.0.0", {}, "192.168.0.107:9091"),
        ("[::]", {}, "192.168.0.107:9091"),
        ("", {"podip": "10.1.1.1"}, "10.1.1.1:9091"),
        ("10.9.9.9", {}, "10.9.9.9:9091"),
        ("", {"advertise": "crawler.example"}, "crawler.example:9091"),
        ("127.0.0.1", {"advertise": "10.2.2.2:7000"}, "10.2.2.2:7000"),
        ("", {"advertise": "fd00::1"}, "[fd00::1]:9091"),
        ("", {"advertise": "[fd00::1]:7000"}, "[fd00::1]:7000"),
    ],
)
def test_the_advertised_address(host: str, options: dict[str, str], expected: str) -> None:
    assert advertise_address(host, 9091, addresses=HOME, **options) == expected


@pytest.mark.parametrize(
    ("advertise", "expected"),
    [
        ("", ""),
        ("crawler.example", "crawler.example"),
        ("10.2.2.2:7000", "10.2.2.2"),
        ("fd00::1", "fd00::1"),
        ("[fd00::1]:7000", "[fd00::1]"),
    ],
)
def test_a_port_that_is_advertised_is_no_part_of_the_host(advertise: str, expected: str) -> None:
    assert advertised_host(advertise) == expected


def test_without_a_network_loopback_is_advertised() -> None:
    assert advertise_address("", 1, addresses=("127.0.0.1",)) == "127.0.0.1:1"
    assert advertise_address("", 1).endswith(":1")
