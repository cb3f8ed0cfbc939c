"""The table of all settings: who has which, of what kind, with what default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from crawler.config import checks, entrusted
from crawler.errors import InvalidInput
from crawler.model import check_node_id


@dataclass(frozen=True, slots=True)
class Setting:
    """``kind`` is what TOML must hold (str, int, bool, dict for a table, or tuple for one or
    several strings);
    ``check`` turns that into the value, or raises ValueError saying what is expected."""

    kind: type
    check: Callable[[Any], Any] = lambda value: value


LOGS = {
    "log_format": Setting(str, checks.one_of("auto", "json", "console")),
    "log_level": Setting(str, checks.one_of("debug", "info", "warning", "error")),
}
SHARED = {
    "etcd": Setting(tuple, checks.endpoints),
    "etcd_user": Setting(str, checks.or_none),
    "etcd_password": Setting(str, checks.or_none),
    "etcd_ca": Setting(str, checks.file),
    "etcd_cert": Setting(str, checks.file),
    "etcd_key": Setting(str, checks.file),
    "store": Setting(str, checks.store),
    "ttl": Setting(int, checks.between(2, 300)),
    "insecure": Setting(bool),
    "tokens": Setting(str, checks.file),
    "secret": Setting(str, checks.file),
    "tls_ca": Setting(str, checks.file),
    "tls_cert": Setting(str, checks.file),
    "tls_key": Setting(str, checks.file),
    "advertise": Setting(str, checks.advertise),
    "podip": Setting(str, checks.ip),
    "election_prefix": Setting(str, checks.election),
    **LOGS,
}
_NODE = {
    **SHARED,
    "id": Setting(str, check_node_id),
    "http": Setting(str, checks.listen),
    "grpc": Setting(str, checks.listen),
    "pprof": Setting(str, checks.optional_listen),
    "traces": Setting(str, checks.collector),
}
CRAWLING = {
    "processes": Setting(int, checks.between(1, 256)),
    "allow_private": Setting(tuple, checks.networks),
}
# Only in a file: what they hold would be read in the process list.
ENTRUSTED = {
    "secrets": Setting(dict, entrusted.secrets),
    "proxy_pools": Setting(dict, entrusted.proxy_pools),
}
ROLES: dict[str, dict[str, Setting]] = {
    "master": _NODE,
    "worker": {
        **_NODE,
        **CRAWLING,
        **ENTRUSTED,
        "cluster": Setting(bool),
        "definitions": Setting(tuple, checks.files),
        "sinks": Setting(str, checks.optional_directory),
        "files": Setting(str, checks.directory),
        "browser": Setting(str, checks.program),
        "outage_policy": Setting(str, checks.one_of("continue", "stop")),
        "proxy": Setting(str, checks.optional_listen),
        "proxy_connect": Setting(tuple, checks.openings),
        "proxy_data": Setting(str, checks.directory),
        "proxy_space": Setting(int, checks.between(16, 16_777_216)),
    },
    "up": {
        **{name: SHARED[name] for name in ("etcd", "store", "ttl", "tokens", *LOGS)},
        **CRAWLING,
        "masters": Setting(int, checks.between(1, 99)),
        "workers": Setting(int, checks.between(0, 99)),
        "data": Setting(str, checks.directory),
        "http": Setting(str, checks.listen),
    },
    "edge": {
        **{
            name: SHARED[name]
            for name in (
                *("etcd", "etcd_user", "etcd_password", "etcd_ca", "etcd_cert", "etcd_key"),
                *("secret", "election_prefix", "insecure", *LOGS),
            )
        },
        "http": Setting(str, checks.optional_listen),
        "state": Setting(str, checks.directory),
        # What they may hold, the edge itself says.
        "pools": Setting(dict),
        "targets": Setting(dict),
        "pace": Setting(dict),
    },
}


def data_home(environ: Mapping[str, str] = os.environ) -> Path:
    """This user's data directory for us, by the XDG Base Directory Specification."""
    home = environ.get("XDG_DATA_HOME", "")
    root = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return root / "crawler"


def sqlite_url(path: Path) -> str:
    """A file as a store URL. Raises `InvalidInput` for a name that is not UTF-8."""
    try:
        return "sqlite://" + quote(str(path.absolute()))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{str(path)!r}: its name is not UTF-8; choose another") from error


def defaults(role: str, environ: Mapping[str, str]) -> dict[str, object]:
    """What a role's settings are where nobody says otherwise, as TOML would hold it."""
    logs: dict[str, object] = {"log_format": "auto", "log_level": "info"}
    crawling: dict[str, object] = {
        "processes": len(os.sched_getaffinity(0)),
        "allow_private": (),
    }
    if role == "up":
        return logs | crawling | {
            "masters": 3, "workers": 3, "data": str(data_home(environ) / "up"), "http": ":8081",
            "etcd": (), "store": None, "ttl": 10, "processes": None,
            "tokens": None,
        }  # fmt: skip
    if role == "edge":
        missing = ("etcd_user", "etcd_password", "etcd_ca", "etcd_cert", "etcd_key", "secret")
        return logs | dict.fromkeys(missing) | {
            "etcd": ("http://127.0.0.1:2379",), "election_prefix": "/resources/election",
            "insecure": False, "http": ":8079", "state": str(data_home(environ) / "edge"),
            "pools": {}, "targets": {}, "pace": {},
        }  # fmt: skip
    absent = (
        *(
            "etcd_user",
            "etcd_password",
            "etcd_ca",
            "etcd_cert",
            "etcd_key",
            "pprof",
            "traces",
            "tokens",
        ),
        *("tls_ca", "tls_cert", "tls_key", "secret"),
    )
    node: dict[str, object] = logs | dict.fromkeys((*absent, "advertise", "podip")) | {
        "id": "1", "http": ":8081", "grpc": ":9091", "etcd": ("http://127.0.0.1:2379",),
        "store": sqlite_url(data_home(environ) / "crawler.db"), "ttl": 10, "insecure": False,
        "election_prefix": "/resources/election",
    }  # fmt: skip
    if role == "worker":
        node |= crawling | {"http": ":8080", "grpc": ":9090", "cluster": True}
        node |= {"definitions": (), "sinks": None, "browser": None, "outage_policy": "continue"}
        node |= {"files": str(data_home(environ) / "files")}
        node |= {"secrets": {}, "proxy_pools": {}}
        node |= {"proxy": None, "proxy_connect": ("*:443",), "proxy_space": 1024}
        node |= {"proxy_data": str(data_home(environ) / "proxy")}
    return node
