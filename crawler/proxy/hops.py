"""What goes no further than one connection, and what tells who passed a message on. Pure."""

from __future__ import annotations

from crawler.cache.fields import Fields, members
from crawler.proxy.parcels import ANSWER, PAGE
from crawler.proxy.refusals import Refusal

# On a request from another worker's proxy: by what it is known, and what it asks for.
PEER = "crawler-peer"
TARGET = "crawler-target"
_ONE_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)  # RFC 9110, 7.6.1
# Never taken out because Connection names them: what follows would be another message, or be good
# for others than it is.
_KEPT = frozenset({
    "age", "cache-control", "content-length", "date", "expires", "host", "set-cookie", "vary",
    "via",
})  # fmt: skip


def end_to_end(fields: Fields) -> Fields:
    """Without what is meant for this connection alone."""
    named = {name.lower() for name in members(fields.all("connection"))}
    return fields.without(_ONE_HOP | (named - _KEPT))


def forwarded(fields: Fields) -> Fields:
    """The fields of a request as they go on, but for Via, and for the length of its body: who reads
    and who writes a body are to agree on it, however a client spells it."""
    own = {"host", "expect", "content-length", PEER, TARGET, ANSWER, PAGE}
    return end_to_end(fields).without(own)


def body_of(fields: Fields) -> int | None:
    """How many bytes the body of a request has; None: its end shows. Of fields that h11 took."""
    if "transfer-encoding" in fields:
        return None
    return int(fields.get("content-length") or 0)


def hops_left(fields: Fields) -> int:
    """Max-Forwards (RFC 9110, 7.6.2). Raises `Refusal`."""
    text = fields.get("max-forwards")
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, "Max-Forwards is no number", "http_request_error")
    return int(text.lstrip("0")[:9] or 0)


def passed_by(fields: Fields, name: str) -> Fields:
    """With ours at the end of Via (RFC 9110, 7.6.3)."""
    return fields.plus(("Via", f"1.1 {name}"))


def check_loop(fields: Fields, name: str) -> None:
    """Raises `Refusal` for a message that was here before."""
    for member in members(fields.all("via")):
        if member.split(" ")[1:2] == [name]:
            raise Refusal(
                508,
                "this request has passed this proxy before: its target, or another proxy on its "
                "way, leads back here",
                "proxy_loop_detected",
            )


def check_framing(fields: Fields) -> None:
    """Raises `Refusal` for a request whose end two readers could see in two places (RFC 9112,
    6.1 and 11.2)."""
    lengths, codings = fields.all("content-length"), fields.all("transfer-encoding")
    if lengths and codings:
        raise Refusal(
            400,
            "a request has either Content-Length or Transfer-Encoding, not both",
            "http_request_error",
        )
    if len(fields.all("host")) > 1:
        raise Refusal(400, "a request has one Host", "http_request_error")


def written(value: str) -> str:
    """As aiohttp is to be given it, which writes UTF-8: bytes above ASCII come out as they came in,
    where they are that."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
