"""One client's connection: requests and answers of HTTP/1.1 by h11, every wait and size bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus

import h11

from crawler.cache.fields import Fields
from crawler.proxy.refusals import Refusal

MAX_HEAD_BYTES = 1 << 16
MAX_BODY_BYTES = 64 << 20  # of a request
_READ_BYTES = 1 << 16
_QUIET_S = 75.0  # between requests
_HEAD_S = 10.0  # from the first byte of a head to its end
_BODY_S = 30.0  # without a byte of a body
_LINGER_S = 1.0
_UNREAD_S = 30.0  # without a byte of an answer being taken


class ClientGone(Exception):
    """Nothing more can be said to this client."""


class Wire:
    """Implements `Client` for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._left = 0
        self._head_only = False
        self.sent_bytes = 0
        self.fault: Refusal | None = None  # of the body, which whoever reads it may not pass on

    async def request(self) -> h11.Request | None:
        """The head of the next request; None: there is none. Raises `Refusal` for what is no HTTP,
        after which nothing more can be read."""
        try:
            if not self._h11.trailing_data[0]:
                async with asyncio.timeout(_QUIET_S):
                    if not await self._receive():
                        return None
            async with asyncio.timeout(_HEAD_S):
                event = await self._event()
        except (TimeoutError, OSError):
            return None
        if not isinstance(event, h11.Request):
            return None
        if sum(len(name) + len(value) for name, value in event.headers) > MAX_HEAD_BYTES:
            raise Refusal(  # h11 looks at what is not whole yet
                431,
                f"the head of a request may have {MAX_HEAD_BYTES >> 10} KiB here",
                "http_request_error",
            )
        self._left = MAX_BODY_BYTES
        self._head_only = event.method == b"HEAD"
        if not _has_body(event):
            self._h11.next_event()  # its end, which h11 tells without another byte
        return event

    async def body(self) -> AsyncIterator[bytes]:
        """That of the request. Raises `Refusal` and `ClientGone`."""
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            try:
                async with asyncio.timeout(_BODY_S):
                    event = await self._event()
            except Refusal as refusal:
                self.fault = refusal
                raise
            except (TimeoutError, OSError) as error:
                raise ClientGone from error
            if not isinstance(event, h11.Data):
                return
            self._left -= len(event.data)
            if self._left < 0:
                self.fault = too_large()
                raise self.fault
            yield bytes(event.data)

    async def _event(self) -> object:
        """The next event, once enough was received. Raises `Refusal`."""
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                status = error.error_status_hint
                raise Refusal(
                    status if status in (431, 501) else 400,
                    f"this is no HTTP/1.1 that is understood here: {error}",
                    "http_request_error",
                ) from error
            if event is not h11.NEED_DATA:
                return event
            await self._receive()

    async def _receive(self) -> bool:
        data = await self._reader.read(_READ_BYTES)
        self._h11.receive_data(data)
        return bool(data)

    @property
    def started(self) -> bool:
        """Whether an answer to the latest request was begun."""
        return self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    async def inform(self, status: int, fields: Fields) -> None:
        """An interim answer, which HTTP/1.0 does not have. What cannot be sent is left out. Raises
        `ClientGone`."""
        if self._h11.their_http_version == b"1.0" or self.started:
            return
        event = h11.InformationalResponse
        with suppress(h11.LocalProtocolError):
            await self._send(
                event(status_code=status, headers=_raw(fields), reason=_reason(status))
            )

    async def start(self, status: int, fields: Fields) -> None:
        """The head of an answer. Raises `ClientGone`, and `Refusal` for a head that cannot be
        sent."""
        try:
            event = h11.Response(status_code=status, headers=_raw(fields), reason=_reason(status))
            await self._send(event)
        except h11.LocalProtocolError as error:
            raise Refusal(
                502,
                f"the answer has a head that cannot be passed on: {error}",
                "http_protocol_error",
            ) from error

    async def write(self, chunk: bytes) -> None:
        """More of the body; to a HEAD, nothing. Raises `ClientGone`."""
        if self._head_only:
            return
        self.sent_bytes += len(chunk)
        await self._say(h11.Data(data=chunk))

    async def finish(self) -> None:
        """The answer is whole. Raises `ClientGone`."""
        await self._say(h11.EndOfMessage())

    async def _say(self, event: h11.Event) -> None:
        try:
            await self._send(event)
        except h11.LocalProtocolError as error:  # more or less than Content-Length says
            raise ClientGone from error

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if not data:
            return
        try:
            self._writer.write(data)
            async with asyncio.timeout(_UNREAD_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ClientGone from error

    def next(self) -> bool:
        """Make ready for another request; False: there will be none on this connection."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def linger(self) -> None:
        """Before the end: let the client read what was said, although it may say more."""
        try:
            self._writer.write_eof()
            async with asyncio.timeout(_LINGER_S):
                while await self._reader.read(_READ_BYTES):
                    pass
        except (OSError, TimeoutError, NotImplementedError):  # TLS has no half of an end
            return

    async def tunnel(self) -> bytes:
        """Say that a tunnel stands; what the client has said into it already."""
        await self._send(
            h11.Response(status_code=200, headers=[], reason=b"Connection established")
        )
        return bytes(self._h11.trailing_data[0])


def _raw(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.pairs]


def _reason(status: int) -> bytes:
    """What people expect behind it; programs read the number (RFC 9112, 4)."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def _has_body(request: h11.Request) -> bool:
    fields = dict(request.headers)
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(b"0") != b""


def too_large() -> Refusal:
    """For a body that is not taken."""
    return Refusal(
        413,
        f"the body of a request may have {MAX_BODY_BYTES >> 20} MiB here; send larger ones "
        "directly",
        "http_request_error",
    )
