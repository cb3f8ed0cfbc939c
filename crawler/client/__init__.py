"""The HTTP API from outside: `Client` for asyncio, `SyncClient` for everybody else."""

from crawler.client.client import DEFAULT_MASTER, Client
from crawler.client.results import (
    Change,
    Counters,
    Export,
    NodeStatus,
    Placement,
    ResourcePage,
    ResourceStatus,
    Retried,
    RunPage,
    RunStatus,
    Wished,
)
from crawler.client.sync import SyncClient

__all__ = [
    "DEFAULT_MASTER",
    "Change",
    "Client",
    "Counters",
    "Export",
    "NodeStatus",
    "Placement",
    "ResourcePage",
    "ResourceStatus",
    "Retried",
    "RunPage",
    "RunStatus",
    "SyncClient",
    "Wished",
]
