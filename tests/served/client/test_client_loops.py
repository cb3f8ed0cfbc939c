"""A client whose loop ends with its last call."""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crawler.client import Client
from crawler.ops.certificates import make_authority, make_node


class Master(BaseHTTPRequestHandler):
    """Knows no nodes, says so, and then hears nothing more, a caller's farewell neither."""

    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self) -> None:
        body = b'{"nodes": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.over.wait()

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """A server over TLS, in a thread of its own."""
    make_authority(tmp_path)
    make_node(tmp_path, "m1", ())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "m1.pem", tmp_path / "m1.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Master) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        Master.over.set()
        server.shutdown()
        thread.join()


def test_no_connection_is_left_half_closed(
    master: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)

    async def call() -> None:
        async with Client(master, authority=str(tmp_path / "ca.pem")) as client:
            assert await client.nodes() == ()

    for _ in range(3):
        asyncio.run(call())
        gc.collect()
    assert left == []
