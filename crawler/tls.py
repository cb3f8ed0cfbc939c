"""TLS between nodes: one authority, and one pair per node that serves both sides.

gRPC wants a certificate of this authority from callers as well, so that only nodes of the cluster
(and whoever else was given one) get as far as being asked for a token. HTTP shows the node's
certificate and asks for none.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from crawler.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM texts: the authority's certificate, the node's certificate and its key."""

    ca: bytes
    cert: bytes
    key: bytes = field(repr=False)
    cert_file: str
    key_file: str


def read_pair(ca_file: str, cert_file: str, key_file: str) -> Pair:
    """Read and check: the key must belong to the certificate. Raises `Misconfigured`."""
    ca, cert = _read("tls_ca", ca_file), _read("tls_cert", cert_file)
    pair = Pair(ca, cert, _read("tls_key", key_file), cert_file, key_file)
    server_context(pair)
    client_context(ca_file)
    return pair


def _read(name: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{name}: {file}: {error.strerror}") from error


def server_context(pair: Pair) -> ssl.SSLContext:
    """For HTTP: TLS 1.2 or newer, with the node's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(pair.cert_file, pair.key_file)
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured(
            f"tls_cert, tls_key: {pair.cert_file} and {pair.key_file} are no pair: {error}"
        ) from error
    return context


def client_context(ca_file: str) -> ssl.SSLContext:
    """For commands: trust this authority and no other. Raises `Misconfigured`."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured(f"tls_ca: {ca_file} holds no certificate: {error}") from error
