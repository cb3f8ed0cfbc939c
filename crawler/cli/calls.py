"""A line to the cluster, and errors that say how to go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from crawler.errors import (
    CrawlerError,
    NoLeader,
    NotFound,
    OutcomeUnknown,
    Unauthenticated,
    Unavailable,
)
from crawler.model import MASTER_SERVICE, WORKER_SERVICE, State

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from crawler.client import ResourceStatus, SyncClient

# Long enough for a master that restarts; whoever waits for a new leader repeats the command.
_RETRY_S = 3.0


@contextmanager
def connect(
    master: str, *, retry_for_s: float = _RETRY_S, list_with: str = "ls"
) -> Iterator[SyncClient]:
    """A client for the masters at ``master`` (one URL, or several with commas). ``list_with`` is
    the command that lists what a name may be missing from."""
    from crawler.client import SyncClient
    from crawler.config import read_authority, read_insecure, read_token

    urls = [url for url in master.split(",") if url]
    with SyncClient(
        urls,
        retry_for_s=retry_for_s,
        token=read_token(),
        authority=read_authority(),
        insecure=read_insecure(),
    ) as client:
        try:
            yield client
        except Unauthenticated as error:
            way = "set CRAWLER_TOKEN, or CRAWLER_TOKEN_FILE to a file that holds the token"
            raise Unauthenticated(f"{error}; {way}") from error
        except NoLeader as error:
            raise NoLeader(f"{error}; a new leader is elected within seconds, try again") from error
        except Unavailable as error:
            if type(error) is not Unavailable:
                raise
            way = "start a cluster with `crawler up`, or name a master of yours with --master URL"
            raise Unavailable(f"{error}; {way}") from error
        except OutcomeUnknown as error:
            raise OutcomeUnknown(f"{error}; repeating the command is safe") from error
        except NotFound as error:
            raise NotFound(f"{error} (`crawler {list_with}` shows what there is)") from error


def short_node(node_id: str) -> str:
    """A node's id as people write it: ``worker-2``."""
    return node_id.removeprefix("go.micro.server.")


def full_node(text: str) -> str:
    """The id on the wire; ``worker-2`` and ``2`` (a worker) are enough."""
    if text.startswith((MASTER_SERVICE, WORKER_SERVICE)):
        return text
    kind, _, number = text.rpartition("-")
    return f"{MASTER_SERVICE if kind == 'master' else WORKER_SERVICE}-{number}"


def look_after(client: SyncClient, name: str) -> ResourceStatus | None:
    """The crawl after a change of it; None where nobody answers, which does not undo the change."""
    try:
        return client.resource(name)
    except CrawlerError:
        return None


def standing(found: ResourceStatus | None) -> str:
    """How a crawl stands, in brackets behind what was done: its state, and whose it is or why it
    does not go on. "" for None."""
    if found is None:
        return ""
    reason = found.reason.replace("go.micro.server.", "")
    if found.state in (State.PENDING, State.ASSIGNED, State.ERROR) and reason:
        return f" ({found.state}: {reason})"
    if found.state is State.RUNNING and found.assigned_node:
        return f" ({found.state} on {short_node(found.assigned_node)})"
    return f" ({found.state})"


def as_json(value: DataclassInstance) -> dict[str, Any]:
    """A value of the API as it came."""
    return dataclasses.asdict(value)
