"""A master's API in a thread: answers as told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESOURCE: dict[str, Any] = {
    "id": "1621665639791857664", "name": "shop", "assigned_node": "go.micro.server.worker-2",
    "address": "127.0.0.1:9089", "creation_time": "1675470192274320000", "state": "running",
    "reason": "", "run": 1, "revision": 7, "definition_revision": 5, "decision": "least loaded",
    "decided_at": 1675470192.0, "progress_error": "",
    "progress": {
        "run": 1, "known": 1200, "done": 1000, "failed": 2, "pending": 198, "excluded": 0,
        "items": 990, "incomplete_items": 1, "fetched_bytes": 5, "seeded": True, "finished": "",
        "unchanged": 700,
    },
    "definition": {"start_urls": ["https://shop.example/"]},
}  # fmt: skip
NODE: dict[str, Any] = {
    "id": "go.micro.server.master-1", "service": "go.micro.server.master",
    "address": "127.0.0.1:9091", "leader": True, "active": 0, "resources": 0, "drained": False,
    "native": True, "uptime_s": 75.0, "version": "0.1.0",
}  # fmt: skip
WORKER = {
    **NODE, "id": "go.micro.server.worker-2", "service": "go.micro.server.worker", "leader": False,
    "drained": True, "native": False, "unsigned": True, "trouble": "no store",
}  # fmt: skip
ITEM: dict[str, Any] = {
    "seq": 1, "url": "https://shop.example/1", "rule": "product", "ordinal": 0,
    "definition_revision": 5, "fields": {"name": "=lamp", "price": "-1.50"}, "missing": ["sku"],
    "stored_at": 1.0,
}  # fmt: skip
PAGE: dict[str, Any] = {
    "url": "https://shop.example/2", "state": "failed", "reason": "HTTP 500", "status": 500,
    "attempts": 3, "depth": 1, "priority": 0, "host": "shop.example", "rule": "", "found_on": "",
    "content_type": "", "size_bytes": 0, "elapsed_s": 0.1, "fetched_at": 1.0, "key": "0f" * 16,
}  # fmt: skip
STORY: dict[str, Any] = {
    "run": 2, "page": {**PAGE, "found_on": "https://shop.example/"}, "method": "GET",
    "final_url": "", "not_before": 0.0, "way": [], "found": [], "items": [],
    "attempts": [
        {"at": 1.0, "state": "pending", "status": 0, "reason": "timeout", "elapsed_s": 30.0,
         "node": "go.micro.server.worker-2"},
        {"at": 2.0, "state": "failed", "status": 500, "reason": "HTTP 500", "elapsed_s": 0.1,
         "node": "go.micro.server.worker-1"},
    ],
    "runs": [
        {"run": number, "state": "failed", "status": 500, "reason": "HTTP 500", "attempts": 3,
         "fetched_at": 1.0}
        for number in (2, 1)
    ],
}  # fmt: skip
EVENT: dict[str, Any] = {
    "seq": 1, "at": 1675470192.0, "kind": "claimed", "detail": "run 1",
    "node": "go.micro.server.worker-2",
}  # fmt: skip
CHANGE: dict[str, Any] = {
    "id": "1", "name": "shop", "assigned_node": "", "address": "", "created": False,
    "changed": True,
}  # fmt: skip


class Api:
    """Answers by "METHOD path": a JSON value, or a pair of status and value."""

    def __init__(self) -> None:
        self.identities: list[str] = []
        self.url = ""
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {
            "GET /crawler/resource": {"resources": [RESOURCE], "next": ""},
            "GET /crawler/resource/shop": RESOURCE,
            "PUT /crawler/resource/shop": CHANGE,
            "GET /crawler/resource/shop/export": {
                "stretches": [{"run": 1, "after": 0, "until": 1}],
                "cursor": "1:1",
            },
            "GET /crawler/resource/shop/items": {"items": [ITEM], "next": ""},
            "GET /crawler/resource/shop/runs": {"runs": [RESOURCE["progress"]]},
            "GET /crawler/resource/shop/pages": {"pages": [PAGE], "next": ""},
            "GET /crawler/resource/shop/url": {"story": STORY},
            "GET /crawler/resource/shop/events": {"events": [EVENT], "next": ""},
            "GET /crawler/event": {
                "events": [{**EVENT, "resource_id": "1621665639791857664", "name": "shop"}],
                "next": "",
            },
            "GET /crawler/node": {"nodes": [NODE, WORKER]},
        }

    def answer(self, call: str, body: Any) -> tuple[int, Any]:
        self.asked.append((call, body))
        call, _, _ = call.partition("?")
        found = self.answers.get(call)
        if found is None and call.endswith(("/pause", "/resume", "/stop", "/start")):
            return 200, {"changed": True, "run": 2}
        if found is None and call.startswith(("POST ", "DELETE ")):
            return 200, {}
        if found is None:
            return 404, {"code": 5, "message": "there is no such resource", "details": []}
        return found if isinstance(found, tuple) else (200, found)


@contextmanager
def serve_api() -> Iterator[Api]:
    """Serve on loopback while the context lasts."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            api.identities.append(self.headers.get("Authorization") or "")
            status, value = api.answer(f"{self.command} {self.path}", body)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - named by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named there
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
