"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_MASTER = "http://127.0.0.1:8081"

Master = Annotated[
    str,
    typer.Option("--master", metavar="URL", envvar="CRAWLER_MASTER", help="the API of any master"),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="name of the resource")]
Run = Annotated[
    int | None,
    typer.Option("--run", min=1, metavar="N", help="an earlier run; the latest unless said"),
]
Kept = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="read this database instead of asking a master"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("-s", metavar="SETTING=VALUE", help="change a setting of the definition"),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-private", metavar="CIDR,…", help="networks besides public ones that may be crawled"
    ),
]

Entrusted = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="a worker's settings, for its secrets"),
]

Spider = Annotated[
    str | None,
    typer.Option("--spider", metavar="NAME", help="of several in a Python file, this one"),
]

# -- settings of masters and workers: None means "not given", so that config can look further. What
# holds several, separated by commas, may also be given several times. --

Config = Annotated[str | None, typer.Option("--config", metavar="FILE", help="settings in TOML")]
Id = Annotated[str | None, typer.Option("--id", help="one per master or worker  [default: 1]")]
Http = Annotated[str | None, typer.Option("--http", metavar="[HOST]:PORT", help="HTTP address")]
Grpc = Annotated[str | None, typer.Option("--grpc", metavar="[HOST]:PORT", help="gRPC address")]
Traces = Annotated[
    str | None,
    typer.Option("--traces", metavar="URL", help="send spans to this OTLP collector, by HTTP"),
]
Pprof = Annotated[
    str | None,
    typer.Option("--pprof", metavar="[HOST]:PORT", help="what it is doing, at /debug/ there"),
]
Etcd = Annotated[
    list[str] | None,
    typer.Option("--etcd", metavar="URL,…", help="etcd  [default: http://127.0.0.1:2379]"),
]
EtcdUser = Annotated[
    str | None, typer.Option("--etcd-user", help="its password: CRAWLER_ETCD_PASSWORD")
]
EtcdCa = Annotated[str | None, typer.Option("--etcd-ca", metavar="FILE", help="who signed etcd")]
EtcdCert = Annotated[
    str | None, typer.Option("--etcd-cert", metavar="FILE", help="our certificate for etcd")
]
EtcdKey = Annotated[str | None, typer.Option("--etcd-key", metavar="FILE", help="and its key")]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="sqlite:///PATH or postgresql://USER@HOST/DATABASE  [default: one file per user]",
    ),
]
Ttl = Annotated[
    str | None,
    typer.Option("--ttl", metavar="SECONDS", help="silent for so long means dead  [default: 10]"),
]
Advertise = Annotated[
    str | None,
    typer.Option(
        "--advertise", metavar="HOST[:PORT]", help="where others reach it; PORT is gRPC's"
    ),
]
PodIp = Annotated[
    str | None, typer.Option("--podip", metavar="IP", help="the same, as Kubernetes gives it")
]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="listen beyond this machine without authentication"),
]
Tokens = Annotated[
    str | None,
    typer.Option("--tokens", metavar="FILE", help="who may call; `crawler token` adds to it"),
]
Secret = Annotated[
    str | None,
    typer.Option("--secret", metavar="FILE", help="signs node records; the same on every node"),
]
TlsCa = Annotated[
    str | None, typer.Option("--tls-ca", metavar="FILE", help="who signs the nodes' certificates")
]
TlsCert = Annotated[
    str | None, typer.Option("--tls-cert", metavar="FILE", help="this node's certificate")
]
TlsKey = Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="and its key")]
ElectionPrefix = Annotated[
    str | None, typer.Option("--election-prefix", metavar="KEY", help="where masters elect")
]
LogFormat = Annotated[
    str | None, typer.Option("--log-format", metavar="auto|json|console", help="of standard error")
]
LogLevel = Annotated[
    str | None, typer.Option("--log-level", metavar="debug|info|warning|error", help="and how much")
]
Processes = Annotated[
    str | None,
    typer.Option("--processes", metavar="N", help="crawling processes  [default: one per core]"),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="true|false", help="false: without etcd and masters"),
]
Definitions = Annotated[
    list[str] | None,
    typer.Option("--definitions", metavar="FILE,…", help="what to crawl with --cluster=false"),
]
Sinks = Annotated[
    str | None,
    typer.Option("--sinks", metavar="DIR", help="where the file sinks of definitions are"),
]
Files = Annotated[
    str | None,
    typer.Option(
        "--files",
        metavar="DIR",
        help="what spiders and rules of kind file keep  [default: one per user]",
    ),
]
Browser = Annotated[
    str | None,
    typer.Option(
        "--browser", metavar="FILE", help="what shows pages  [default: the Chromium installed]"
    ),
]
OutagePolicy = Annotated[
    str | None,
    typer.Option("--outage-policy", metavar="continue|stop", help="crawls while etcd is away"),
]
Proxy = Annotated[
    str | None,
    typer.Option(
        "--proxy", metavar="[HOST]:PORT", help="serve as a caching HTTP proxy there  [default: off]"
    ),
]
ProxyConnect = Annotated[
    list[str] | None,
    typer.Option(
        "--proxy-connect",
        metavar="HOST:PORT,…",
        help="tunnels that it may open, * for anything  [default: *:443]",
    ),
]
ProxyData = Annotated[
    str | None,
    typer.Option(
        "--proxy-data", metavar="DIR", help="where it keeps pages  [default: one per user]"
    ),
]
ProxySpace = Annotated[
    str | None,
    typer.Option("--proxy-space", metavar="MIB", help="of disk for them  [default: 1024]"),
]
