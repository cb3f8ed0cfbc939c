"""Asks masters over HTTP whether they are ready, and what of it is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from crawler.address import in_clear
from crawler.ops.findings import Finding, failure, fine, warning
from crawler.tls import client_context

_MAX_BYTES = 256 * 1024


async def ask_masters(
    urls: Sequence[str], token: str | None, authority: str | None, timeout_s: float
) -> list[Finding]:
    """``/readyz`` of each, at the same time. The token does not leave this machine in clear.
    Raises `Misconfigured` for an ``authority`` that is none."""
    limit = aiohttp.ClientTimeout(total=timeout_s)
    tls = client_context(authority) if authority is not None else True
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        return list(await asyncio.gather(*(_ask(session, url, token) for url in urls)))


async def _ask(session: aiohttp.ClientSession, url: str, token: str | None) -> Finding:
    headers = {"Authorization": f"Bearer {token}"} if token and not in_clear(url) else {}
    ready = f"{url.rstrip('/')}/readyz"
    try:
        async with session.get(ready, headers=headers, allow_redirects=False) as answer:
            body = json.loads((await answer.content.read(_MAX_BYTES)) or b"null")
            return judge_answer(f"master {url}", answer.status, body)
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", str(error))
        advice = "set CRAWLER_TLS_CA to its authority's ca.pem, and use a name that it was made for"
        return failure(f"master {url}", f"its certificate is not believed: {why}", advice)
    except aiohttp.ClientSSLError:
        advice = "is that the HTTP address of a master? Without certificates it is http://"
        return failure(f"master {url}", "it does not speak TLS", advice)
    except aiohttp.ServerDisconnectedError:
        advice = "is it https://? Else see its log"
        return failure(f"master {url}", "it ended the connection", advice)
    except TimeoutError:
        reason = "no answer in time"
    except aiohttp.ClientConnectionError:
        reason = "no connection"
    except (aiohttp.ClientError, ValueError, RecursionError):
        reason = "that is not the answer of a master"
    return failure(f"master {url}", reason, "start it, or name yours with --master URL")


def judge_answer(subject: str, status: int, body: Any) -> Finding:
    """What a master said: 200 and 503 are its own words, any other status is not."""
    if status == 200:
        return fine(subject, "it is ready")
    if status in {401, 403}:
        advice = "set CRAWLER_TOKEN to one that it knows"
        return warning(subject, "it does not know the token", advice)
    if status != 503:
        return failure(subject, f"status {status}", "is that the HTTP address of a master?")
    checks = body.get("checks") if isinstance(body, dict) else None
    bad = [
        f"{name}: {each.get('words', '')}"
        for name, each in (checks if isinstance(checks, dict) else {}).items()
        if isinstance(each, dict) and not each.get("ok")
    ]
    said = f"it is not ready ({'; '.join(bad)})" if bad else "it is not ready"
    advice = "see its log" if bad else "set CRAWLER_TOKEN to hear why, or see its log"
    return failure(subject, said, advice)
