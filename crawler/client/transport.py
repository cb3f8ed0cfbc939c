"""One call to whichever master answers, repeated where that is safe.

Every try has a connection of its own and is sent once: then one that could not connect is known
never to have been sent.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from crawler.address import in_clear
from crawler.client.errors import from_answer
from crawler.clock import Backoff, Clock
from crawler.errors import InvalidInput, OutcomeUnknown, Refused, Unavailable
from crawler.tls import client_context

MAX_ANSWER_BYTES = 64 * 1024 * 1024
SILENCE_S = 25.0  # of an answer that comes bit by bit: it has a heartbeat every 10 s


@dataclass(frozen=True, slots=True)
class Patience:
    """``timeout_s`` bounds one try, ``connect_s`` its connecting, ``retry_for_s`` all tries but
    the last; ``backoff`` is the pause after each round through the masters."""

    timeout_s: float = 15.0
    connect_s: float = 3.0
    retry_for_s: float = 15.0
    backoff: Backoff = Backoff(base_s=0.1, cap_s=2.0)  # noqa: RUF009 -- frozen


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent. ``path`` is percent-encoded already. ``key`` is its Idempotency-Key ("": none).
    ``safe``: sent again, it changes nothing (more)."""

    method: str
    path: str
    query: Mapping[str, str | int]
    body: bytes | None
    key: str = ""

    @property
    def safe(self) -> bool:
        return self.method == "GET" or bool(self.key)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling, and whose certificates are trusted (None: those that the system trusts).
    ``insecure``: the token may travel in clear."""

    token: str | None = field(default=None, repr=False)
    authority: str | None = None
    insecure: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def trust(self) -> ssl.SSLContext | bool:
        return client_context(self.authority) if self.authority else True


class Transport:
    """The masters, and which of them answered last."""

    def __init__(
        self, masters: Sequence[str], patience: Patience, clock: Clock, identity: Identity
    ) -> None:
        self._bases = tuple(_base(each) for each in masters)
        if not self._bases:
            raise InvalidInput("master: at least one URL is needed", field="master")
        clear = [str(each) for each in self._bases if in_clear(str(each))]
        if clear and identity.token and not identity.insecure:
            raise Refused(
                f"the token would travel to {clear[0]} in clear: use https://, or set "
                "CRAWLER_INSECURE=true if the network keeps strangers out"
            )
        self._identity = identity
        self._current = 0
        self._patience = patience
        self._clock = clock
        self._trust = identity.trust

    async def send(self, call: Call) -> bytes:
        """The body of a success. Raises errors of ours.

        `Unavailable` (definitely without effect) is repeated at the next master, and an unknown
        outcome too where the call changes nothing, until ``retry_for_s`` is over.
        """
        until = self._clock.elapsed() + self._patience.retry_for_s
        delays = self._patience.backoff.delays()
        tries = 0
        while True:
            try:
                return await self._once(self._bases[self._current], call)
            except (Unavailable, OutcomeUnknown) as error:
                if isinstance(error, OutcomeUnknown) and not call.safe:
                    raise
                self._current = (self._current + 1) % len(self._bases)
                tries += 1
                delay_s = 0.0 if tries % len(self._bases) else next(delays)
                if self._clock.elapsed() + delay_s >= until:
                    raise
                await self._clock.sleep(delay_s)

    async def _once(self, base: URL, call: Call) -> bytes:
        url = self._url(base, call)
        headers = dict(self._identity.headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.key:
            headers["Idempotency-Key"] = call.key
        try:
            async with (
                self._session() as session,
                session.request(
                    call.method, url, data=call.body, headers=headers, allow_redirects=False
                ) as response,
            ):
                answer = await _read(response)
        except aiohttp.InvalidURL as error:
            raise InvalidInput(f"master: {base} is no URL", field="master") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(f"no answer from {base}: {_words(error)}") from error
        if response.status >= 300:
            raise from_answer(response.status, answer)
        return answer

    async def lines(self, call: Call) -> AsyncGenerator[str]:
        """The lines of an answer that comes bit by bit, until it ends. Raises as `send`, but tries
        only once: whoever listens knows where to go on. After a failure it is the next master's
        turn."""
        try:
            async with (
                self._session(endless=True) as session,
                session.request(
                    call.method,
                    self._url(self._bases[self._current], call),
                    headers=self._identity.headers,
                    allow_redirects=False,
                ) as response,
            ):
                if response.status >= 300:
                    raise from_answer(response.status, await _read(response))
                async for line in response.content:
                    yield line.decode("utf-8", "replace").rstrip("\n")
        except (Unavailable, OutcomeUnknown):
            self._current = (self._current + 1) % len(self._bases)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._current = (self._current + 1) % len(self._bases)
            raise Unavailable(f"the answer broke off: {_words(error)}") from error

    @staticmethod
    def _url(base: URL, call: Call) -> URL:
        return URL(str(base).rstrip("/") + call.path, encoded=True).with_query(call.query)

    def _session(self, *, endless: bool = False) -> aiohttp.ClientSession:
        """For one try: its end waits until the connection is closed. One that were merely told to
        close, as with ``force_close``, would be left open by a loop that ends meanwhile."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None if endless else self._patience.timeout_s,
                sock_connect=self._patience.connect_s,
                sock_read=SILENCE_S if endless else None,
            ),
            trust_env=False,
            middlewares=(_sent_once,),
        )


async def _sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Translate failures before aiohttp sees them: it would send a PUT or DELETE again, and then
    a failure to connect could hide a first time that had an effect."""
    host = request.url.origin()
    try:
        return await handler(request)
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", _words(error))
        raise Unavailable(
            f"its certificate does not prove that this is {host}: {why} (CRAWLER_TLS_CA names the "
            "file of the authority to believe)"
        ) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unavailable(f"cannot reach {host}: {_words(error)}") from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        hint = " (with certificates it is https://)" if host.scheme == "http" else ""
        raise OutcomeUnknown(f"no answer from {host}: {_words(error)}{hint}") from error


def _base(text: str) -> URL:
    """A master's URL; http:// may be left out."""
    try:
        url = URL(text if "://" in text else f"http://{text}")
        odd = any(each.isspace() for each in text) or url.query_string
        if url.scheme in ("http", "https") and url.host and not odd:
            return url
    except ValueError:
        pass
    raise InvalidInput(f"master: {text!r} is no URL like http://127.0.0.1:8081", field="master")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            raise OutcomeUnknown(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(answer)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
