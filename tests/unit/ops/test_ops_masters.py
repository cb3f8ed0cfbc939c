"""Masters behind certificates of the cluster's own authority."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from crawler.client.client import Client
from crawler.errors import OutcomeUnknown, Unavailable
from crawler.ops.certificates import make_authority, make_node
from crawler.ops.findings import Severity
from crawler.ops.masters import ask_masters
from crawler.tls import read_pair, server_context
from crawler.web.server import serve


async def ready(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def test_they_are_believed_by_their_authority(tmp_path: Path) -> None:
    make_authority(tmp_path)
    make_node(tmp_path, "m", ())
    files = [str(tmp_path / each) for each in ("ca.pem", "m.pem", "m.key")]
    tls = server_context(read_pair(*files))
    async with AsyncExitStack() as stack:
        urls = []
        for each in (tls, None):
            app = web.Application()
            app.router.add_get("/readyz", ready)
            port = await stack.enter_async_context(
                serve(app, "127.0.0.1", 0, tls=each, grace_s=0.1)
            )
            urls.append(f"https://127.0.0.1:{port}")
        urls.append(urls[0].replace("https", "http"))
        found, clear, plain = await ask_masters(urls, None, files[0], 5.0)
        assert (found.severity, found.text) == (Severity.OK, "it is ready")
        assert clear.text == "it does not speak TLS"
        assert "https://" in plain.advice
        (found,) = await ask_masters(urls[:1], None, None, 5.0)
        assert found.severity is Severity.FAILURE
        assert "CRAWLER_TLS_CA" in found.advice
        for url, hint in ((urls[0], "CRAWLER_TLS_CA"), (urls[2], "https://")):
            async with Client(url, retry_for_s=0.0) as client:
                with pytest.raises((Unavailable, OutcomeUnknown), match=hint):
                    await client.nodes()
