"""`crawler worker`."""

from __future__ import annotations

import asyncio

from crawler.cli import options


def worker(
    id: options.Id = None,  # noqa: A002 - the setting's name
    http: options.Http = None,
    grpc: options.Grpc = None,
    pprof: options.Pprof = None,
    traces: options.Traces = None,
    config: options.Config = None,
    etcd: options.Etcd = None,
    etcd_user: options.EtcdUser = None,
    etcd_ca: options.EtcdCa = None,
    etcd_cert: options.EtcdCert = None,
    etcd_key: options.EtcdKey = None,
    store: options.Store = None,
    ttl: options.Ttl = None,
    processes: options.Processes = None,
    allow_private: options.Allow = None,
    cluster: options.Cluster = None,
    definitions: options.Definitions = None,
    sinks: options.Sinks = None,
    files: options.Files = None,
    browser: options.Browser = None,
    outage_policy: options.OutagePolicy = None,
    proxy: options.Proxy = None,
    proxy_connect: options.ProxyConnect = None,
    proxy_data: options.ProxyData = None,
    proxy_space: options.ProxySpace = None,
    advertise: options.Advertise = None,
    podip: options.PodIp = None,
    insecure: options.Insecure = None,
    tokens: options.Tokens = None,
    tls_ca: options.TlsCa = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    secret: options.Secret = None,
    election_prefix: options.ElectionPrefix = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run a worker: it crawls what the leader gives it.

    Without a cluster: `crawler worker --cluster=false --definitions=shop.toml`
    """
    given = locals()  # by the settings' names
    from crawler.app.worker import run_worker
    from crawler.cli.node import begin
    from crawler.config import worker_config

    settings = worker_config(given)
    begin(settings, "worker")
    asyncio.run(run_worker(settings))
