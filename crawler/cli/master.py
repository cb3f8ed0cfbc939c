"""`crawler master`."""

from __future__ import annotations

import asyncio

from crawler.cli import options


def master(
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
    """Run a master: it serves the API, and one of them leads."""
    given = locals()  # by the settings' names
    from crawler.app.master import run_master
    from crawler.cli.node import begin
    from crawler.config import master_config

    settings = master_config(given)
    begin(settings, "master")
    asyncio.run(run_master(settings))
