"""What the proxy answers itself: which rule it was, and the way out, in words for people."""

from __future__ import annotations

from crawler.cache.fields import Fields


class Refusal(Exception):
    """Answered with a status by the proxy. ``error``: the type of RFC 9209, 2.3, by which clients
    tell it from an origin's answer. ``retry_after_s`` None: asking again later changes nothing."""

    def __init__(
        self, status: int, text: str, error: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> bytes:
        """What people read."""
        return f"crawler proxy: {self}\n".encode()

    def fields(self, name: str) -> Fields:
        """The head of the answer of the proxy of that name."""
        found = Fields(
            (
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(self.body))),
                ("Cache-Control", "no-store"),
                ("Proxy-Status", f"{name}; error={self.error}"),
            )
        )
        if self.status == 407:
            found = found.plus(("Proxy-Authenticate", 'Basic realm="crawler", charset="UTF-8"'))
        if self.status == 405:
            found = found.plus(("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"))
        if self.retry_after_s is not None:
            found = found.plus(("Retry-After", str(max(1, round(self.retry_after_s)))))
        return found


def uncached() -> Refusal:
    """For a request that is to be answered from what is kept, or not at all."""
    return Refusal(
        504,
        "nothing that may be used is kept of this page, and only-if-cached forbids to ask",
        "http_request_denied",
    )


def unreachable(host: str, reason: str) -> Refusal:
    """What a client is told of an origin that could not be asked; ``reason`` is the engine's."""
    if reason == "address refused":
        return Refusal(
            403,
            f"{host} has no public address or names a port of another protocol than the web's; "
            "what may be reached nevertheless is the worker's setting allow_private",
            "destination_ip_prohibited",
        )
    if reason in ("timeout", "connect timeout"):
        return Refusal(504, f"{host} did not answer in time", "connection_timeout")
    errors = {
        "name not resolved": "dns_error",
        "connection failed": "connection_refused",
        "certificate not valid": "tls_certificate_error",
        "TLS failed": "tls_protocol_error",
        "malformed answer": "http_protocol_error",
    }
    error = errors.get(reason, "connection_terminated")
    return Refusal(502, f"{host} could not be asked: {reason}", error)
