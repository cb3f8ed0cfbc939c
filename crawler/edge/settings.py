"""What is balanced, by which load balancers, and at which pace: the shapes of the tables of
``[edge]``."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from crawler.model import MASTER_SERVICE

Port = Annotated[int, Field(ge=1, le=65535)]
NodePort = Literal["http", "grpc"] | Port
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
HealthPath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~/?=&%-]*)?$")]


def _one_line(text: str) -> str:
    """A path is written into configurations as it is."""
    if not text.isprintable() or any(each in text for each in "\"';{}\\ "):
        raise ValueError("holds a blank, a quote or a sign that a configuration would obey")
    return text


def plain_path(path: Path) -> Path:
    """It as an absolute one; raises `ValueError` where no configuration could hold it."""
    return Path(_one_line(str(path.expanduser().absolute())))


def _possible(place: str) -> str:
    """An address of IP that can be listened at."""
    host, _, port = place.rpartition(":")
    ipaddress.ip_address(host.strip("[]"))
    if not 0 < int(port) < 65536:
        raise ValueError(f"{port} is no port")
    return place


File = Annotated[Path, AfterValidator(plain_path)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9.]+):[0-9]{1,5}$")]
Command = tuple[str, ...]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pool(_Table):
    """Those among whom requests are shared out.

    Of ``service``, nodes as go-micro registers them; or the keys below ``prefix``, whoever writes
    them. ``port``: one of a node's own, or a number. ``check``: the path of the health check, on
    ``check_port`` (""/None: a connection is enough).

    haproxy speaks TLS to members whose authority ``tls_ca`` names; ``tls_pair`` holds, in one file,
    the certificate and key that they are shown. nginx is told that where it is told to pass on.
    """

    service: str = ""
    prefix: str = ""
    port: NodePort | None = None
    mode: Literal["http", "grpc", "tcp"] = "http"
    check: HealthPath | None = None
    check_port: NodePort | None = None
    tls_ca: File | None = None
    tls_pair: File | None = None
    leader: bool = False
    least: Annotated[int, Field(ge=1, le=1000)] = 1
    allow_empty: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Pool:
        if bool(self.service) == bool(self.prefix):
            raise ValueError("needs one of service and prefix")
        if self.prefix and (not self.prefix.endswith("/") or len(self.prefix) < 2):
            raise ValueError("prefix: ends with a slash, such as /work/ips/")
        if self.prefix and (isinstance(self.port, str) or isinstance(self.check_port, str)):
            raise ValueError("port: of keys below a prefix, it is a number")
        if self.tls_pair is not None and self.tls_ca is None:
            raise ValueError("tls_pair: needs tls_ca, too: who is believed")
        if self.leader and self.service != MASTER_SERVICE:
            raise ValueError(f"leader: only {MASTER_SERVICE} has one")
        return self

    @property
    def node_port(self) -> str | int:
        """Which port of a node is meant; 0: the one that its key says."""
        if self.port is not None:
            return self.port
        return 0 if self.prefix else "http" if self.mode == "http" else "grpc"

    @property
    def health(self) -> tuple[str, str | int | None]:
        """The path of the health check and which port it is asked at (None: the same)."""
        if self.check is not None or self.prefix:
            return self.check or "", self.check_port
        # A node that is not ready still serves; where all lose etcd, none may go.
        return "/healthz", self.check_port or (None if self.node_port == "http" else "http")


class Pace(_Table):
    """When something is done. A target is not reloaded sooner than ``reload_interval_s`` after the
    last time; ``grace_s`` is how long a sudden loss of more than ``shrink`` of a pool is not
    believed. A change waits for a random part of ``jitter_s``, so that several edges do not reload
    in the same instant. Names of hosts are looked up again every ``resolve_s``."""

    quiet_s: Seconds = 0.3
    max_wait_s: Seconds = 2.0
    reload_interval_s: Seconds = 1.0
    grace_s: Seconds = 30.0
    shrink: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    resync_s: Seconds = 60.0
    resolve_s: Seconds = 10.0
    jitter_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0


class _Target(_Table):
    """``pools``: of these alone ((): of all). ``timeout_s`` bounds every command, ``verify_s`` is
    how long the new generation may take to come up. ``mode``: of the file, in octal (None: as it
    is, or 644)."""

    file: File
    pools: tuple[Name, ...] = ()
    timeout_s: Seconds = 10.0
    verify_s: Seconds = 5.0
    mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] | None = None


class NginxTarget(_Target):
    """``file`` is included by ``main`` within ``http { }``. ``generation``: where the file makes
    nginx answer which generation of it is live; of this machine only."""

    kind: Literal["nginx"]
    main: File = Path("/etc/nginx/nginx.conf")
    program: str = "nginx"
    reload: Command = ()
    generation: Address = "127.0.0.1:8790"
    keepalive: Annotated[int, Field(ge=1, le=10_000)] = 32


class HaproxyTarget(_Target):
    """``configs`` are all files that haproxy is started with, in order, ``file`` among them.
    ``socket``: its runtime API, level admin. ``drain_s``: how long what runs on a removed server
    may go on."""

    kind: Literal["haproxy"]
    configs: Annotated[tuple[File, ...], Field(min_length=1)]
    socket: File = Path("/run/haproxy/admin.sock")
    program: str = "haproxy"
    reload: Command = ("systemctl", "reload", "haproxy")
    drain_s: Seconds = 30.0

    @model_validator(mode="after")
    def _lists_itself(self) -> HaproxyTarget:
        if self.file not in self.configs:
            raise ValueError(f"configs: must hold {self.file}, too, or haproxy would not read it")
        return self


class KeepalivedTarget(_Target):
    """``file`` is included by ``main``. ``virtual``: where the kernel takes what is for a pool, as
    IP:PORT by the pool's name; those pools are the target's. ``method``: how it passes that on.
    ``pidfile``: of the keepalived that is reloaded."""

    kind: Literal["keepalived"]
    virtual: Annotated[
        dict[Name, Annotated[Address, AfterValidator(_possible)]], Field(min_length=1)
    ]
    main: File = Path("/etc/keepalived/keepalived.conf")
    pidfile: File = Path("/run/keepalived.pid")
    program: str = "keepalived"
    scheduler: Literal["rr", "wrr", "lc", "wlc", "sh", "mh"] = "wlc"
    method: Literal["NAT", "DR", "TUN"] = "NAT"

    @model_validator(mode="before")
    @classmethod
    def _of_its_own(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("virtual"), dict):
            return {"pools": tuple(given["virtual"]), **given}
        return given

    @model_validator(mode="after")
    def _fits(self) -> KeepalivedTarget:
        if set(self.pools) != set(self.virtual):
            raise ValueError("pools: they are those of virtual; leave it out")
        if len(set(self.virtual.values())) < len(self.virtual):
            raise ValueError("virtual: each pool needs an address or a port of its own")
        return self


class JsonTarget(_Target):
    """All pools as JSON, for programs."""

    kind: Literal["json"]
    reload: Command = ()


class TemplateTarget(_Target):
    """A template of the user's own. ``{file}`` in ``check`` stands for what is to be checked
    before it is in its place."""

    kind: Literal["template"]
    template: File
    check: Command = ()
    reload: Command = ()


AnyTarget = Annotated[
    NginxTarget | HaproxyTarget | KeepalivedTarget | JsonTarget | TemplateTarget,
    Field(discriminator="kind"),
]

# What is balanced where nobody says it: the masters' API and console, and their gRPC.
DEFAULT_POOLS = {
    "crawler_http": Pool(service=MASTER_SERVICE),
    "crawler_grpc": Pool(service=MASTER_SERVICE, mode="grpc"),
}
