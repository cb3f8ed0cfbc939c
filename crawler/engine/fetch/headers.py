"""What is sent along with a request: who we are, and credentials only where they belong."""

from __future__ import annotations

import itertools
import zlib
from base64 import b64encode
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from multidict import CIMultiDict

from crawler.definition.access import Auth
from crawler.definition.secrets import Secret, fill, names_secret, within
from crawler.engine.bodies import content_type_of
from crawler.engine.fetch.coding import OFFERED
from crawler.engine.settings import Manners
from crawler.engine.urls import Scope, host_of, name_of
from crawler.errors import Misconfigured
from crawler.model import Imprint

_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
MAX_VALIDATOR = 512  # characters; a longer one is no reason to keep it with every page
_NOT_IN_COOKIES = frozenset(';, "\\')


class Headers:
    """The headers of one crawl, with the worker's secrets in their places.

    Secret headers, and those that name a secret, go only where `Scope.trusts`; those of ``auth`` to
    their domain, in scope, and in the clear only where a start URL is in the clear. So no link and
    no redirect carries them elsewhere. Raises `Misconfigured` where a secret is missing, or is not
    for all the domains that it would be sent to.
    """

    def __init__(self, manners: Manners, scope: Scope, secrets: Mapping[str, Secret]) -> None:
        self._scope = scope
        given = _filled("headers", manners.headers, secrets, scope)
        kept = {
            name: value
            for name, value in given.items()
            if name.lower() not in _SECRET_HEADERS and not names_secret(manners.headers[name])
        }
        agents = manners.user_agents or (manners.user_agent,)
        self._public = [_headers(agent, kept) for agent in agents]
        self._full = [_headers(agent, given) for agent in agents]
        self._turns = itertools.count() if manners.user_agent_rotation == "request" else None
        self._auth = sorted(
            (
                (each.domain, _credentials(at, each, secrets))
                for at, each in enumerate(manners.auth)
            ),
            key=lambda pair: -len(pair[0]),  # the closest domain counts
        )

    def for_request(self, url: str, body: bytes | None = None) -> CIMultiDict[str]:
        """What goes to this URL beside ``body``, the type of which is told unless the definition
        does. Not to be changed by the caller."""
        which = 0 if len(self._public) == 1 else self._agent(url)
        headers = self._full[which] if self._scope.trusts(url) else self._public[which]
        if self._auth and (value := self._authorization(url)):
            headers = headers.copy()
            headers["Authorization"] = value
        if body is not None and "Content-Type" not in headers:
            headers = headers.copy()
            headers["Content-Type"] = content_type_of(body)
        return headers

    @property
    def rotating(self) -> bool:
        """Whether each request goes out under another user agent."""
        return self._turns is not None and len(self._public) > 1

    def tells_secrets(self, url: str) -> bool:
        """Whether what goes there is for us alone: credentials, or headers that may name some."""
        own = self._scope.trusts(url) and self._full != self._public
        return own or bool(self._auth and self._authorization(url))

    def _agent(self, url: str) -> int:
        if url.endswith("/robots.txt"):
            return 0  # whose rules are obeyed
        turn = zlib.crc32(host_of(url).encode()) if self._turns is None else next(self._turns)
        return turn % len(self._public)

    def _authorization(self, url: str) -> str:
        if not self._scope.allows(url) or self._scope.exposes(url):
            return ""
        name = name_of(url)
        return next((value for domain, value in self._auth if within(name, domain)), "")


def conditional(headers: CIMultiDict[str], imprint: Imprint) -> CIMultiDict[str]:
    """The headers of a request that a server need not answer with the page if it is still that one
    (RFC 9110, 13.1.2 and 13.1.3)."""
    headers = headers.copy()
    if imprint.etag:
        headers["If-None-Match"] = imprint.etag
    if imprint.last_modified:
        headers["If-Modified-Since"] = imprint.last_modified
    return headers


def validator(value: str) -> str:
    """An ETag or Last-Modified header as it may be sent back; "" where it may not."""
    text = value.strip()
    return text if len(text) <= MAX_VALIDATOR and text.isascii() and text.isprintable() else ""


def _headers(agent: str, given: Mapping[str, str]) -> CIMultiDict[str]:
    headers = CIMultiDict({"User-Agent": agent, "Accept": _ACCEPT})
    headers.update(given)
    headers["Accept-Encoding"] = OFFERED
    return headers


def _filled(
    field: str, values: Mapping[str, str], secrets: Mapping[str, Secret], scope: Scope
) -> dict[str, str]:
    return {
        name: fill(value, secrets, scope.trusted, f"{field}.{name}") if "$" in value else value
        for name, value in values.items()
    }


def _credentials(at: int, auth: Auth, secrets: Mapping[str, Secret]) -> str:
    """The value of Authorization (RFC 7617, RFC 6750)."""
    if auth.bearer is not None:
        token = fill(auth.bearer, secrets, (auth.domain,), f"auth[{at}].bearer")
        return f"Bearer {token}"
    assert auth.basic is not None
    user = fill(auth.basic.user, secrets, (auth.domain,), f"auth[{at}].basic.user")
    password = fill(auth.basic.password, secrets, (auth.domain,), f"auth[{at}].basic.password")
    if ":" in user:
        raise Misconfigured(f"auth[{at}].basic.user: the secret holds a colon")
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def cookie_values(
    manners: Manners, scope: Scope, secrets: Mapping[str, Secret]
) -> Mapping[str, str]:
    """The definition's cookies as they are sent. Raises `Misconfigured`, as `Headers` does."""
    values = _filled("cookies", manners.cookies, secrets, scope)
    for name, value in values.items():
        if _NOT_IN_COOKIES.intersection(value):
            raise Misconfigured(
                f"cookies.{name}: the secret holds a blank, quote, comma or semicolon"
            )
    return values


def cookies_for(values: Mapping[str, str], url: str) -> SimpleCookie:
    """Cookies for the host of ``url`` only, and for TLS only where the URL is."""
    jar = SimpleCookie()
    for name, value in values.items():
        try:
            jar[name] = value
        except CookieError as error:
            raise Misconfigured(f"cookies: not a cookie name: {name!r}") from error
        jar[name]["path"] = "/"
        if url.startswith("https:"):
            jar[name]["secure"] = True
    return jar
