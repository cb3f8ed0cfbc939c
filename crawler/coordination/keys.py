"""Where everything stands in etcd: the names of keys, in one place."""

from __future__ import annotations

import re

from crawler.coordination.election import DEFAULT_PREFIX
from crawler.coordination.registry import REGISTRY_PREFIX
from crawler.model import unit_name

RESOURCES = "/resources/"
DEFINITIONS = "/crawler/definitions/"
PARTS = "/crawler/parts/"
WISHES = "/crawler/desired/"
STATUSES = "/crawler/status/"
DECISIONS = "/crawler/decisions/"
OWNERS = "/crawler/owners/"
GIVEN = "/crawler/given/"
LOADS = "/crawler/load/"
DRAINED = "/crawler/drained/"
INSTANCES = "/crawler/instances/"
CLUSTER_KEY = "/crawler/cluster"
IDS_KEY = "/crawler/ids"

OURS = "/crawler/"
NODES = REGISTRY_PREFIX
ELECTION = DEFAULT_PREFIX

# One range that holds all of the above, so that one watch tells the events of one transaction
# together and in order. Keys of others in between are skipped.
SPAN_START = OURS
SPAN_END = "/resources0"
PREFIXES = (OURS, NODES, RESOURCES)

# What makes up the entry of a resource; some of it once per part.
ENTRY_PREFIXES = (RESOURCES, PARTS, DEFINITIONS, WISHES, STATUSES, DECISIONS, OWNERS)
PART_PREFIXES = (PARTS, STATUSES, DECISIONS)


def resource_key(name: str, part: int = 0) -> str:
    """The assignment of one part; its mod_revision is the token. Part 0 is the resource's own."""
    return f"{PARTS}{name}/{part}" if part else RESOURCES + name


def name_and_part(key: str) -> tuple[str, int]:
    """The resource and the part that a key is about; ("", 0) for what is no such key of ours.

    Below ``/resources/`` other things stand, too: whatever else holds a slash is no name.
    """
    prefix = next((each for each in ENTRY_PREFIXES if key.startswith(each)), None)
    if prefix is None:
        return "", 0
    name, slash, number = key.removeprefix(prefix).partition("/")
    if not slash:
        return ("" if prefix == PARTS else name), 0
    valid = prefix in PART_PREFIXES and re.fullmatch("[1-9][0-9]?", number)
    return (name, int(number)) if valid else ("", 0)


def definition_key(name: str) -> str:
    """The definition, canonical JSON; its mod_revision is the rule version."""
    return DEFINITIONS + name


def wish_key(name: str) -> str:
    """What the user wants."""
    return WISHES + name


def status_key(name: str, part: int = 0) -> str:
    """What the owner reports."""
    return STATUSES + unit_name(name, part)


def decision_key(name: str, part: int = 0) -> str:
    """Why the leader chose."""
    return DECISIONS + unit_name(name, part)


def owner_key(name: str) -> str:
    """The name of the token that added the resource; no key where nobody was asked."""
    return OWNERS + name


def given_prefix(node_id: str) -> str:
    """Below it stands what the node was given."""
    return f"{GIVEN}{node_id}/"


def given_key(node_id: str, name: str, part: int = 0) -> str:
    """Written with every assignment of the unit to the node, and deleted with the next to another,
    so that a worker need not hear of what others are given."""
    return given_prefix(node_id) + unit_name(name, part)


def given_name(key: str) -> str:
    """The resource that such a key is about."""
    return key.removeprefix(GIVEN).partition("/")[2].partition("/")[0]


def load_key(node_id: str) -> str:
    """How busy a node is; under the node's lease."""
    return LOADS + node_id


def drain_key(node_id: str) -> str:
    """Present while a node is to get no work."""
    return DRAINED + node_id


def instance_key(number: int) -> str:
    """A snowflake instance number in use; under the lease of whoever uses it."""
    return f"{INSTANCES}{number}"


def in_span(prefix: str) -> bool:
    """Whether all keys below ``prefix`` are seen by the one watch."""
    return SPAN_START <= prefix < SPAN_END and any(prefix.startswith(each) for each in PREFIXES)
