"""Where everything stands in etcd: the names of keys, in one place."""

from __future__ import annotations

from crawler.coordination.election import DEFAULT_PREFIX
from crawler.coordination.registry import REGISTRY_PREFIX

RESOURCES = "/resources/"
DEFINITIONS = "/crawler/definitions/"
WISHES = "/crawler/desired/"
STATUSES = "/crawler/status/"
DECISIONS = "/crawler/decisions/"
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


def resource_key(name: str) -> str:
    """The assignment; its mod_revision is the token."""
    return RESOURCES + name


def definition_key(name: str) -> str:
    """The definition, canonical JSON; its mod_revision is the rule version."""
    return DEFINITIONS + name


def wish_key(name: str) -> str:
    """What the user wants."""
    return WISHES + name


def status_key(name: str) -> str:
    """What the owner reports."""
    return STATUSES + name


def decision_key(name: str) -> str:
    """Why the leader chose."""
    return DECISIONS + name


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
