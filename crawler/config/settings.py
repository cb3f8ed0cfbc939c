"""Which settings a process has, and which of them go together. Checked when built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crawler.config.checks import Listen
from crawler.errors import InvalidInput, Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What masters and workers have in common. Absence is None."""

    id: str
    http: Listen
    grpc: Listen
    pprof: Listen | None
    traces: str | None  # URL of an OTLP collector; None: no spans are recorded
    etcd: tuple[str, ...]  # http://host:port or https://host:port
    etcd_user: str | None
    etcd_password: str | None = field(repr=False)
    etcd_ca: str | None
    etcd_cert: str | None
    etcd_key: str | None
    store: str = field(repr=False)
    ttl_s: int
    advertise: str | None  # host or host:port that others reach this node at
    podip: str | None
    insecure: bool
    tokens: str | None  # a file; None: nobody is asked who they are
    tls_ca: str | None  # alone: whom commands believe
    tls_cert: str | None
    tls_key: str | None
    secret: str | None  # a file; None: node records are not signed
    election_prefix: str
    log_format: str  # auto, json, console
    log_level: str  # debug, info, warning, error

    @property
    def exposed(self) -> tuple[str, ...]:
        """Addresses that others than this machine can reach, without authentication or with tokens
        that travel in clear. Profiles are never encrypted."""
        plain = self._listening() if not self.locked else (self.pprof,)
        return tuple(str(each) for each in plain if each is not None and not each.loopback)

    @property
    def locked(self) -> bool:
        """Whether callers are asked who they are, over TLS."""
        return self.tokens is not None and self.tls_cert is not None

    def __post_init__(self) -> None:
        if not self.etcd:
            raise InvalidInput("etcd: at least one address is needed", field="etcd")
        if self.exposed and not self.insecure:
            why = (
                "tokens would travel there in clear"
                if self.tokens
                else "nothing asks callers who they are"
            )
            raise Misconfigured(
                f"{', '.join(self.exposed)} can be reached from beyond this machine, and {why}: "
                "listen on :PORT (loopback only), or add --insecure if the network keeps "
                "strangers out"
            )
        fixed = [str(each) for each in self._listening() if each.port]
        if twice := [address for address in dict.fromkeys(fixed) if fixed.count(address) > 1]:
            raise Misconfigured(f"{twice[0]} is given twice; each needs a port of its own")
        self._check_etcd()

    def _check_etcd(self) -> None:
        if (self.etcd_user is None) != (self.etcd_password is None):
            raise Misconfigured(
                "etcd_user and etcd_password go together (the password as CRAWLER_ETCD_PASSWORD)"
            )
        if (self.etcd_cert is None) != (self.etcd_key is None):
            raise Misconfigured("etcd_cert and etcd_key go together")
        plain = [url for url in self.etcd if url.startswith("http:")]
        if plain and (self.etcd_ca or self.etcd_cert):
            raise Misconfigured(f"certificates are set, but {plain[0]} is not https://")

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
    secrets: Mapping[str, Mapping[str, Any]] = field(repr=False)  # name: value and domains
    proxy_pools: Mapping[str, Mapping[str, Any]] = field(repr=False)  # name: urls and rotation
    cluster: bool  # False: no etcd and no masters; it crawls by its definitions
    definitions: tuple[Path, ...]
    sinks: Path | None  # the directory of file sinks; None: this worker feeds none
    files: Path  # the directory of what spiders keep as files
    browser: str | None  # the program that shows pages; None: the one that is installed
    outage_policy: Literal["continue", "stop"]  # what crawls do while etcd is away: continue, stop
    proxy: Listen | None  # where the caching proxy listens; None: there is none
    proxy_connect: tuple[str, ...]  # tunnels that it may open, as HOST:PORT with * for anything
    proxy_data: Path  # the directory of what proxies keep
    proxy_space: int  # MiB that this worker's may take there

    def __post_init__(self) -> None:
        NodeConfig.__post_init__(self)  # super() has no meaning in a class remade for its slots
        if self.proxy is not None and not self.proxy.loopback and self.tokens is None:
            raise Misconfigured(
                f"proxy: {self.proxy} can be reached from beyond this machine, and a proxy for "
                "everybody is what attackers look for: add --tokens FILE (`crawler token NAME` "
                "makes one), or listen on :PORT (loopback only)"
            )
        if self.cluster and self.definitions:
            raise Misconfigured(
                "definitions are for --cluster=false; a cluster gets them by `crawler apply FILE`"
            )
        if not self.cluster and not self.definitions:
            raise Misconfigured(
                "--cluster=false needs --definitions=FILE[,FILE...]: nobody else says what to crawl"
            )
        if not self.cluster and not self.store.startswith("sqlite:"):
            raise Misconfigured(
                "--cluster=false keeps its crawls in a file that no other worker uses: give it "
                "--store sqlite:///PATH, or run a cluster on PostgreSQL"
            )

    def _listening(self) -> tuple[Listen, ...]:
        own = NodeConfig._listening(self)
        return own if self.proxy is None else (*own, self.proxy)


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
    store: str | None = field(repr=False)
    ttl_s: int
    processes: int | None
    allow_private: tuple[str, ...]
    tokens: str | None
    log_format: str
    log_level: str
    file: Path | None = None

    def __post_init__(self) -> None:
        if not self.http.loopback:
            raise Misconfigured(
                f"{self.http}: a cluster on one machine listens on loopback only; use :PORT, or "
                "start masters with `crawler master --insecure`"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """What keeps load balancers in step. ``pools``, ``targets`` and ``pace`` are tables as the file
    has them; ``state``: a directory for what must outlive a restart; ``http`` None: it tells nobody
    how it is."""

    etcd: tuple[str, ...]
    etcd_user: str | None
    etcd_password: str | None = field(repr=False)
    etcd_ca: str | None
    etcd_cert: str | None
    etcd_key: str | None
    secret: str | None
    election_prefix: str
    http: Listen | None
    insecure: bool
    state: Path
    pools: Mapping[str, Any]
    targets: Mapping[str, Any]
    pace: Mapping[str, Any]
    log_format: str
    log_level: str

    def __post_init__(self) -> None:
        if not self.etcd:
            raise InvalidInput("etcd: at least one address is needed", field="etcd")
        if self.http is not None and not self.http.loopback and not self.insecure:
            raise Misconfigured(
                f"{self.http} can be reached from beyond this machine, and nothing asks callers "
                "who they are: use :PORT for loopback, or say --insecure"
            )
