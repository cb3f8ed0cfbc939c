"""How a process is set up: flags over environment over file over defaults, checked once.

Every setting has one name. ``ttl`` is ``--ttl`` as a flag, ``CRAWLER_TTL`` in the environment and
``ttl`` in the TOML file, at the top or in the table of the role (``[master]``, ``[worker]``,
``[up]``), where the table wins. ``etcd_password`` has no flag: anybody could read it in the
process list.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from crawler.errors import InvalidInput, Misconfigured
from crawler.model import check_node_id

# What the cluster keeps below /crawler/ itself; an election there would be mistaken for it.
_OWN_KEYS = frozenset({
    "definitions", "desired", "parts", "status", "decisions", "load", "cluster", "drained", "ids",
    "instances",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server binds: an IP address (or name) and a port, 0 for any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What masters and workers have in common. Absence is None."""

    id: str
    http: Listen
    grpc: Listen
    pprof: Listen | None
    etcd: tuple[str, ...]  # http://host:port or https://host:port
    etcd_user: str | None
    etcd_password: str | None = field(repr=False)
    etcd_ca: str | None
    etcd_cert: str | None
    etcd_key: str | None
    store: str
    ttl_s: int
    advertise: str | None  # host or host:port that others reach this node at
    podip: str | None
    insecure: bool
    election_prefix: str
    log_format: str  # auto, json, console
    log_level: str  # debug, info, warning, error

    @property
    def exposed(self) -> tuple[str, ...]:
        """Addresses that others than this machine can reach, without authentication."""
        return tuple(str(each) for each in self._listening() if not each.loopback)

    def _listening(self) -> tuple[Listen, ...]:
        return (self.http, self.grpc) if self.pprof is None else (self.http, self.grpc, self.pprof)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterConfig(NodeConfig):
    """One master process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig(NodeConfig):
    """One worker process. ``processes`` is the number of crawling child processes."""

    processes: int
    allow_private: tuple[str, ...]  # networks, as CIDR texts
    cluster: bool
    outage_policy: Literal["continue", "stop"]  # what crawls do while etcd is away: continue, stop


@dataclass(frozen=True, slots=True, kw_only=True)
class UpConfig:
    """A whole cluster on this machine. ``etcd`` empty: one of its own; ``store`` None: below
    ``data``; ``processes`` None: the cores shared out among the workers. ``file`` is handed on to
    the masters and workers, as the environment is."""

    masters: int
    workers: int
    data: Path
    http: Listen
    etcd: tuple[str, ...]
    store: str | None
    ttl_s: int
    processes: int | None
    allow_private: tuple[str, ...]
    log_format: str
    log_level: str
    file: Path | None = None


# -- one setting ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Setting:
    """``kind`` is what TOML must hold (str, int, bool, or tuple for one or several strings);
    ``check`` turns that into the value, or raises ValueError saying what is expected."""

    kind: type
    check: Callable[[Any], Any] = lambda value: value


def _listen(text: str) -> Listen:
    host, separator, port = text.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else -1
    if not separator or not 0 <= number <= 65535:
        raise ValueError(f"expected HOST:PORT or :PORT, got {text!r}")
    host = host.removeprefix("[").removesuffix("]")
    if host in ("", "localhost"):
        host = "127.0.0.1"
    elif re.fullmatch(r"[A-Za-z0-9.:_-]+", host) is None:
        raise ValueError(f"{host!r} is no host")
    return Listen(host, number)


def _optional_listen(text: str) -> Listen | None:
    return _listen(text) if text else None


def _endpoint(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise ValueError(f"expected http://HOST:PORT or https://HOST:PORT, got {_masked(text)!r}")
    if "@" in parts.netloc:
        raise ValueError("user and password belong into etcd_user and etcd_password, not the URL")
    if parts.path.strip("/") or parts.query:
        raise ValueError(f"an etcd address ends with its port, got {text!r}")
    return f"{parts.scheme}://{parts.netloc}"


def _endpoints(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_endpoint(text) for text in texts))


def _store(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("postgresql", "postgres") and rest:
        return text
    if separator and scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return text
    raise ValueError(
        f"expected sqlite:///PATH or postgresql://USER@HOST/DATABASE, got {_masked(text)!r}"
    )


def _masked(url: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in texts)
    except ValueError as error:
        raise ValueError(f"expected networks such as 10.0.0.0/8: {error}") from error


def _advertise(text: str) -> str | None:
    if text and re.fullmatch(r"\[?[A-Za-z0-9.:_-]+\]?(:\d{1,5})?", text) is None:
        raise ValueError(f"expected HOST or HOST:PORT, got {text!r}")
    return text or None


def _ip(text: str) -> str | None:
    return str(ipaddress.ip_address(text)) if text else None


def _election(text: str) -> str:
    prefix = text.rstrip("/")
    own = re.fullmatch(r"/crawler/([A-Za-z0-9_.-]+)(/[A-Za-z0-9_./-]+)?", prefix)
    if prefix == "/resources/election" or (own is not None and own[1] not in _OWN_KEYS):
        return prefix
    raise ValueError("expected /resources/election, or /crawler/NAME with a name not used there")


def _between(low: int, high: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, got {value}")
        return value

    return check


def _one_of(*words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(words)}, got {value!r}")
        return value

    return check


def _or_none(text: str) -> str | None:
    return text or None


def _directory(text: str) -> Path:
    if not text:
        raise ValueError("expected a directory")
    return Path(text).expanduser().absolute()


def _file(text: str) -> str | None:
    if text and not Path(text).expanduser().is_file():
        raise ValueError(f"no such file: {text}")
    return str(Path(text).expanduser()) if text else None


_LOGS = {
    "log_format": _Setting(str, _one_of("auto", "json", "console")),
    "log_level": _Setting(str, _one_of("debug", "info", "warning", "error")),
}
_SHARED = {
    "etcd": _Setting(tuple, _endpoints),
    "etcd_user": _Setting(str, _or_none),
    "etcd_password": _Setting(str, _or_none),
    "etcd_ca": _Setting(str, _file),
    "etcd_cert": _Setting(str, _file),
    "etcd_key": _Setting(str, _file),
    "store": _Setting(str, _store),
    "ttl": _Setting(int, _between(2, 300)),
    "insecure": _Setting(bool),
    "advertise": _Setting(str, _advertise),
    "podip": _Setting(str, _ip),
    "election_prefix": _Setting(str, _election),
    **_LOGS,
}
_NODE = {
    **_SHARED,
    "id": _Setting(str, check_node_id),
    "http": _Setting(str, _listen),
    "grpc": _Setting(str, _listen),
    "pprof": _Setting(str, _optional_listen),
}
_CRAWLING = {
    "processes": _Setting(int, _between(1, 256)),
    "allow_private": _Setting(tuple, _networks),
}
_ROLES: dict[str, dict[str, _Setting]] = {
    "master": _NODE,
    "worker": {
        **_NODE,
        **_CRAWLING,
        "cluster": _Setting(bool),
        "outage_policy": _Setting(str, _one_of("continue", "stop")),
    },
    "up": {
        **{name: _SHARED[name] for name in ("etcd", "store", "ttl", *_LOGS)},
        **_CRAWLING,
        "masters": _Setting(int, _between(1, 99)),
        "workers": _Setting(int, _between(0, 99)),
        "data": _Setting(str, _directory),
        "http": _Setting(str, _listen),
    },
}


def data_home(environ: Mapping[str, str] = os.environ) -> Path:
    """This user's data directory for us, by the XDG Base Directory Specification."""
    home = environ.get("XDG_DATA_HOME", "")
    root = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return root / "crawler"


def sqlite_url(path: Path) -> str:
    """A file as a store URL."""
    return "sqlite://" + quote(str(path.absolute()))


def _defaults(role: str, environ: Mapping[str, str]) -> dict[str, object]:
    logs: dict[str, object] = {"log_format": "auto", "log_level": "info"}
    crawling: dict[str, object] = {
        "processes": len(os.sched_getaffinity(0)),
        "allow_private": (),
    }
    if role == "up":
        return logs | crawling | {
            "masters": 3, "workers": 3, "data": str(data_home(environ) / "up"), "http": ":8081",
            "etcd": (), "store": None, "ttl": 10, "processes": None,
        }  # fmt: skip
    absent = ("etcd_user", "etcd_password", "etcd_ca", "etcd_cert", "etcd_key", "pprof")
    node: dict[str, object] = logs | dict.fromkeys((*absent, "advertise", "podip")) | {
        "id": "1", "http": ":8081", "grpc": ":9091", "etcd": ("http://127.0.0.1:2379",),
        "store": sqlite_url(data_home(environ) / "crawler.db"), "ttl": 10, "insecure": False,
        "election_prefix": "/resources/election",
    }  # fmt: skip
    if role == "worker":
        node |= crawling | {"http": ":8080", "grpc": ":9090", "cluster": True}
        node["outage_policy"] = "continue"
    return node


def read_networks(text: str) -> tuple[str, ...]:
    """The networks of ``--allow-private`` where no other setting is read."""
    setting = _CRAWLING["allow_private"]
    networks: tuple[str, ...] = _value(setting, text, "--allow-private", "allow_private", text=True)
    return networks


# -- merging --------------------------------------------------------------------------------------

_KINDS = {str: "a string", int: "a whole number", bool: "true or false"}
_TRUTH = {"true": True, "1": True, "yes": True, "on": True}
_FALSEHOOD = {"false": False, "0": False, "no": False, "off": False}


def _from_text(kind: type, text: str) -> object:
    """What a flag or variable holds, as the kind that TOML would hold."""
    if kind is bool:
        truth: bool | None = (_TRUTH | _FALSEHOOD).get(text.strip().lower())
        if truth is None:
            raise ValueError(f"expected true or false, got {text!r}")
        return truth
    if kind is int:
        if re.fullmatch(r"-?[0-9]{1,18}", text.strip()) is None:
            raise ValueError(f"expected a whole number, got {text!r}")
        return int(text)
    return text


def _as_kind(kind: type, raw: object) -> object:
    """Check TOML's type; one string stands for a list of comma-separated ones."""
    if kind is tuple:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple) or not all(isinstance(p, str) for p in parts):
            raise ValueError("expected a list of strings")
        return tuple(part.strip() for part in parts if part.strip())
    if type(raw) is not kind:
        raise ValueError(f"expected {_KINDS[kind]}, got {raw!r}")
    return raw


def _value(setting: _Setting, raw: object, source: str, name: str, *, text: bool = False) -> Any:
    try:
        typed = _from_text(setting.kind, raw) if text and isinstance(raw, str) else raw
        return setting.check(_as_kind(setting.kind, typed))
    except (ValueError, InvalidInput) as error:
        said = str(error).removeprefix(f"{name}: ")
        raise InvalidInput(f"{source}: {said}", field=name) from error


def flag_name(name: str) -> str:
    """The flag of a setting: ``allow_private`` → ``--allow-private``."""
    return "--" + name.replace("_", "-")


def variable_name(name: str) -> str:
    """The environment variable of a setting: ``allow_private`` → ``CRAWLER_ALLOW_PRIVATE``."""
    return "CRAWLER_" + name.upper()


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """The settings of a TOML file, checked, per role; a role's table wins over the top."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", field="config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", field="config") from error
    tables = {role: document.pop(role, {}) for role in _ROLES}
    top = _read_table(document, _SHARED | _CRAWLING, str(path), "")
    merged = {}
    for role, settings in _ROLES.items():
        if not isinstance(tables[role], dict):
            raise InvalidInput(f"{path}: {role}: expected a table", field=role)
        below = _read_table(tables[role], settings, str(path), f"{role}.")
        merged[role] = {name: value for name, value in top.items() if name in settings} | below
    return merged


def _read_table(
    table: Mapping[str, Any], settings: Mapping[str, _Setting], source: str, prefix: str
) -> dict[str, Any]:
    values = {}
    for name, raw in table.items():
        if name not in settings:
            raise InvalidInput(f"{source}: {_unknown(name, settings, prefix)}", field=name)
        values[name] = _value(settings[name], raw, f"{source}: {prefix}{name}", name)
    return values


def _unknown(name: str, settings: Mapping[str, _Setting], prefix: str) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), settings, n=1)
    roles = [role for role in _ROLES if name in _ROLES[role]]
    if near:
        return f"unknown key {prefix}{name}; did you mean {prefix}{near[0]}?"
    if not prefix and roles:
        return f"unknown key {name}; it belongs into the table [{roles[0]}]"
    return f"unknown key {prefix}{name}"


def _merge(
    role: str, flags: Mapping[str, object], file: Path | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    """One value per setting of the role. ``flags`` holds None for what was not given."""
    values = dict(_defaults(role, environ))
    in_file = read_file(file)[role] if file is not None else {}
    for name, setting in _ROLES[role].items():
        flag, variable = flags.get(name), environ.get(variable_name(name))
        if flag is not None:
            values[name] = _value(setting, flag, flag_name(name), name, text=True)
        elif variable is not None:
            values[name] = _value(setting, variable, variable_name(name), name, text=True)
        elif name in in_file:
            values[name] = in_file[name]
        elif values[name] is not None:
            values[name] = setting.check(values[name])
    values["ttl_s"] = values.pop("ttl")
    return values


def _config_file(flags: Mapping[str, object], environ: Mapping[str, str]) -> Path | None:
    named = flags.get("config") or environ.get("CRAWLER_CONFIG")
    return Path(str(named)).expanduser() if named else None


def _check_node(config: NodeConfig) -> None:
    """What no setting can say alone."""
    if not config.etcd:
        raise InvalidInput("etcd: at least one address is needed", field="etcd")
    if config.exposed and not config.insecure:
        raise Misconfigured(
            f"{', '.join(config.exposed)} can be reached from beyond this machine, and nothing "
            "asks callers who they are: listen on :PORT (loopback only), or add --insecure if "
            "the network keeps strangers out"
        )
    if (config.etcd_user is None) != (config.etcd_password is None):
        raise Misconfigured(
            "etcd_user and etcd_password go together (the password as CRAWLER_ETCD_PASSWORD)"
        )
    if (config.etcd_cert is None) != (config.etcd_key is None):
        raise Misconfigured("etcd_cert and etcd_key go together")
    plain = [url for url in config.etcd if url.startswith("http:")]
    if plain and (config.etcd_ca or config.etcd_cert):
        raise Misconfigured(f"certificates are set, but {plain[0]} is not https://")


def master_config(
    flags: Mapping[str, object], environ: Mapping[str, str] = os.environ
) -> MasterConfig:
    """A master's settings; ``flags`` by setting name, plus ``config`` for the file.

    Raises `InvalidInput` (a value; named with its source) or `Misconfigured` (a combination).
    """
    config = MasterConfig(**_merge("master", flags, _config_file(flags, environ), environ))
    _check_node(config)
    return config


def worker_config(
    flags: Mapping[str, object], environ: Mapping[str, str] = os.environ
) -> WorkerConfig:
    """A worker's settings; as `master_config`."""
    config = WorkerConfig(**_merge("worker", flags, _config_file(flags, environ), environ))
    _check_node(config)
    return config


def up_config(flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> UpConfig:
    """The settings of `crawler up`; as `master_config`."""
    file = _config_file(flags, environ)
    config = UpConfig(**_merge("up", flags, file, environ), file=file and file.absolute())
    if not config.http.loopback:
        raise Misconfigured(
            f"{config.http}: a cluster on one machine listens on loopback only; use :PORT, or "
            "start masters with `crawler master --insecure`"
        )
    return config
