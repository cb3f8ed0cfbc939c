"""Who is behind a door, and what is believed when members vanish."""

from __future__ import annotations

import json

import pytest

from crawler.coordination.election import election_value
from crawler.coordination.etcd import KeyValue
from crawler.coordination.registry import node_record, registry_key
from crawler.coordination.signing import Seal
from crawler.edge.hold import Hold
from crawler.edge.members import Member, place_member, read_address, read_members
from crawler.edge.plan import read_pace, read_pools, read_targets
from crawler.edge.settings import DEFAULT_POOLS, Pace, Pool
from crawler.errors import InvalidInput
from crawler.model import MASTER_SERVICE, Node


def kv(key: str, value: str | bytes = b"", revision: int = 1) -> KeyValue:
    raw = value.encode() if isinstance(value, str) else value
    return KeyValue(key, raw, revision, revision, 7)


def master(number: int, **metadata: str) -> KeyValue:
    node = Node(
        f"{MASTER_SERVICE}-{number}",
        MASTER_SERVICE,
        f"10.0.0.{number}:9091",
        {"crawler": "1", "http": f"10.0.0.{number}:8081", **metadata},
    )
    return kv(registry_key(node), node_record(node))


def ids(*numbers: int) -> list[str]:
    return [f"{MASTER_SERVICE}-{number}" for number in numbers]


def test_masters_are_sorted_and_have_the_port_that_is_asked_for() -> None:
    kvs = [master(3), master(1), master(2)]
    found = read_members(DEFAULT_POOLS["crawler_http"], kvs)
    assert [each.id for each in found.members] == ids(1, 2, 3)
    assert {each.address for each in found.members} == {f"10.0.0.{n}:8081" for n in (1, 2, 3)}
    grpc = read_members(DEFAULT_POOLS["crawler_grpc"], kvs).members[0]
    assert (grpc.address, grpc.check_port) == ("10.0.0.1:9091", 8081)


def test_the_leader_is_the_one_whose_address_is_elected() -> None:
    pool = Pool(service=MASTER_SERVICE, leader=True)
    candidates = [
        kv("/resources/election/b", election_value("2", "10.0.0.2:9091"), 5),
        kv("/resources/election/a", election_value("1", "10.0.0.1:9091"), 9),
    ]
    kvs = [master(1), master(2)]
    assert read_members(pool, kvs, candidates=candidates).leader == ids(2)[0]
    assert read_members(pool, kvs[:1], candidates=candidates).leader is None


def test_a_drained_node_stays_and_is_marked() -> None:
    found = read_members(DEFAULT_POOLS["crawler_http"], [master(1), master(2)], drained=ids(2))
    assert [each.draining for each in found.members] == [False, True]


def test_what_is_not_signed_and_what_is_no_address_is_left_out() -> None:
    seal, pool = Seal(b"0123456789abcdef"), DEFAULT_POOLS["crawler_http"]
    found = read_members(pool, [master(1)], seal=seal)
    assert found.members == ()
    assert found.unread == (master(1).key,)
    wrong = read_members(pool, [master(1, http="shop;example:80"), master(2)])
    assert [each.id for each in wrong.members] == ids(2)


def test_a_host_may_be_registered_by_its_name() -> None:
    found = read_members(
        DEFAULT_POOLS["crawler_http"], [master(1, http="Master-1:8080"), master(2)]
    )
    assert found.names == {"master-1": 1}
    addresses = {"master-1": "10.9.9.9"}
    one, two = (place_member(each, addresses.__getitem__) for each in found.members)
    assert (one.address, one.name) == ("10.9.9.9:8080", "master-1")
    assert (two.address, two.name) == ("10.0.0.2:8081", "")


@pytest.mark.parametrize(
    ("key", "value", "address"),
    [
        ("/work/ips/10.0.0.7", "", "10.0.0.7:80"),
        ("/work/ips/10.0.0.7:81", "", "10.0.0.7:81"),
        ("/work/ips/a", "10.0.0.7:82", "10.0.0.7:82"),
        ("/work/ips/a", json.dumps({"Op": 0, "Addr": "10.0.0.7:83"}), "10.0.0.7:83"),
        ("/work/ips/a", json.dumps({"host": "fd00::7", "port": 84}), "[fd00::7]:84"),
    ],
)
def test_keys_of_other_registries(key: str, value: str, address: str) -> None:
    pool = Pool(prefix="/work/ips/", port=80)
    assert [each.address for each in read_members(pool, [kv(key, value)]).members] == [address]


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("/work/ips/a", "shop-1.example:82", ("shop-1.example", 82)),
        ("/work/ips/shop-1:82", "", ("shop-1", 82)),
        ("/work/ips/a", json.dumps({"address": "shop-1"}), ("shop-1", 80)),
        ("/work/ips/a", json.dumps({"host": "shop_1", "port": 84}), ("shop_1", 84)),
        ("/work/ips/10.0.0.7", "healthy:1", ("", 80)),  # the address in the key, then
    ],
)
def test_names_in_other_registries(key: str, value: str, place: tuple[str, int]) -> None:
    (one,) = read_members(Pool(prefix="/work/ips/", port=80), [kv(key, value)]).members
    assert (one.name, one.port) == place


def test_a_word_alone_is_no_name() -> None:
    found = read_members(Pool(prefix="/work/ips/", port=80), [kv("/work/ips/a", "up")])
    assert (found.members, found.unread) == ((), ("/work/ips/a",))


@pytest.mark.parametrize(
    "text", ["10.0.0.1;", "a\nb", "{}", "10.0.0.1:0", "10.0.0.1:99999", "::1%x"]
)
def test_what_would_break_a_configuration_is_no_address(text: str) -> None:
    assert read_address(text, 80) is None


def test_ids_are_safe_and_stay_apart() -> None:
    pool = Pool(prefix="/x/", port=80)
    kvs = [kv("/x/a b;", "10.0.0.1"), kv("/x/a_b_", "10.0.0.2")]
    assert [each.id for each in read_members(pool, kvs).members] == ["a_b_", "a_b_.2"]


def members(*numbers: int) -> tuple[Member, ...]:
    return tuple(Member(f"m{n}", f"10.0.0.{n}", 80) for n in numbers)


PACE = Pace(grace_s=30, shrink=0.5)
POOL = Pool(prefix="/x/", port=80)


def test_one_that_goes_is_believed_at_once() -> None:
    hold = Hold(POOL, PACE)
    hold.judge(members(1, 2), 0.0)
    assert hold.judge(members(1), 0.0).members == members(1)


def test_many_at_once_are_believed_after_a_while() -> None:
    hold = Hold(POOL, PACE)
    hold.judge(members(1, 2, 3, 4), 0.0)
    held = hold.judge(members(4, 5), 100.0)
    assert held.members == members(1, 2, 3, 4, 5)
    assert held.until == 130.0
    assert "3 of 4 members vanished all at once" in held.reason
    # What outlives a restart: the clock of the hold goes on.
    again = Hold(POOL, PACE, hold.accepted, hold.since)
    assert again.judge(members(4, 5), 129.0).reason
    assert again.judge(members(4, 5), 130.0).members == members(4, 5)


def test_those_that_come_back_meanwhile_end_it() -> None:
    hold = Hold(POOL, PACE)
    hold.judge(members(1, 2, 3), 0.0)
    assert hold.judge(members(3), 0.0).reason
    assert not hold.judge(members(1, 2, 3), 1.0).reason
    assert hold.since is None


def test_nobody_at_all_is_never_believed_unless_that_is_allowed() -> None:
    hold = Hold(POOL, PACE)
    hold.judge(members(1), 0.0)
    verdict = hold.judge((), 10_000.0)
    assert (verdict.members, verdict.until) == (members(1), None)
    assert "kept until others register" in verdict.reason
    allowed = Hold(POOL.model_copy(update={"allow_empty": True}), PACE, members(1))
    assert allowed.judge((), 0.0).members == members(1)
    assert allowed.judge((), 30.0).members == ()


NGINX = {"kind": "nginx", "file": "/x", "pools": ["crawler_http"]}

KEEPALIVED = {
    "kind": "keepalived",
    "file": "/x",
    "virtual": {"crawler_http": "10.0.0.1:80", "crawler_grpc": "10.0.0.1:81"},
}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"n": {"kind": "nginx"}}, "edge.targets.n.file: Field required"),
        ({"n": {"kind": "apache", "file": "/x"}}, "edge.targets.n: Input tag 'apache'"),
        ({"n": {"kind": "nginx", "file": "/x;y"}}, "edge.targets.n.file: holds a blank"),
        ({"n": {"kind": "json", "file": "/x", "pools": ["y"]}}, "there is no pool y"),
        ({"n": {"kind": "haproxy", "file": "/x", "configs": ["/y"]}}, "must hold /x"),
        (
            {"n": {"kind": "json", "file": "/x"}, "m": {"kind": "json", "file": "/x"}},
            "is that of n",
        ),
        ({"n": {"kind": "nginx", "file": "/x", "pools": ["raw"]}}, "raw is of mode tcp"),
        ({"n": NGINX, "m": {**NGINX, "file": "/y"}}, "m.generation: 127.0.0.1:8790 is that of n"),
        ({"n": {**KEEPALIVED, "virtual": {}}}, "edge.targets.n.virtual: Dictionary should have"),
        ({"n": {**KEEPALIVED, "virtual": {"web": "h:80"}}}, "edge.targets.n.virtual.web: String"),
        ({"n": {**KEEPALIVED, "virtual": {"web": "1.2.3:80"}}}, "'1.2.3' does not appear to be"),
        ({"n": {**KEEPALIVED, "virtual": {"web": "10.0.0.1:80"}}}, "there is no pool web"),
        ({"n": {**KEEPALIVED, "pools": ["raw"]}}, "they are those of virtual; leave it out"),
        ({}, "there is no target"),
    ],
)
def test_wrong_targets_are_named(tables: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_targets(tables, {**DEFAULT_POOLS, "raw": Pool(prefix="/raw/", mode="tcp")})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "needs one of service and prefix"),
        ({"service": "a", "prefix": "/b/"}, "needs one of service and prefix"),
        ({"prefix": "/b"}, "ends with a slash"),
        ({"service": "a", "leader": True}, "only go.micro.server.master has one"),
        ({"service": "a", "check": "/x y"}, "edge.pools.p.check"),
        ({"service": "a", "prot": 1}, "edge.pools.p.prot: Extra inputs"),
    ],
)
def test_wrong_pools_are_named(table: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_pools({"p": table})
    with pytest.raises(InvalidInput, match=r"edge\.pace\.quiet_s"):
        read_pace({"quiet_s": 0})
    with pytest.raises(InvalidInput, match=r"edge\.pace\.jitter_s"):
        read_pace({"jitter_s": -1})


def test_pools_of_keepalived_are_those_with_an_address() -> None:
    targets = read_targets({"n": KEEPALIVED}, {**DEFAULT_POOLS, "raw": Pool(prefix="/raw/")})
    assert set(targets["n"].pools) == {"crawler_http", "crawler_grpc"}
