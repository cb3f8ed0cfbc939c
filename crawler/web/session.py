"""Signing in with a browser: the token of the API, kept in a cookie that no script can read.

All masters take the same tokens, so that a session made at one of them is good at each. The cookie
is sent by a page of this very site only (SameSite), and stands in for a token only where a request
shows by ``Sec-Fetch-Site`` or ``Origin`` that it is one of ours, or changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, StrictStr

from crawler.access import Access, Role, asking
from crawler.errors import Unauthenticated
from crawler.web.guard import SAFE
from crawler.web.models import Given, Nothing, Taken
from crawler.web.route import Answer, AnyRoute, Asked, Route

PATH = "/console/session"
COOKIE = "crawler_session"


class SignIn(Taken):
    """What a sign-in page sends."""

    token: StrictStr = Field(min_length=1, max_length=512)


class Session(Given):
    """Who is asking. ``closed``: callers are asked who they are; ``name`` is then the token's, and
    ``role`` what it is good for."""

    closed: bool
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Sessions:
    """Nothing of a session is kept here: the token is looked up with every request."""

    access: Access

    def routes(self) -> tuple[AnyRoute, ...]:
        """All doors to sessions."""
        return (
            Route(
                "GET", PATH, "Say who is asking, and what they may", self.show,
                Nothing, Nothing, Session,
            ),
            Route(
                "POST", PATH, "Sign in: keep a token in a cookie", self.sign_in,
                SignIn, Nothing, Session,
            ),
            Route(
                "DELETE", PATH, "Sign out: forget the cookie", self.sign_out,
                Nothing, Nothing, Nothing,
            ),
        )  # fmt: skip

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        del asked
        caller = asking.get()
        return Answer(Session(closed=self.access.closed, name=caller.name, role=caller.role))

    async def sign_in(self, asked: Asked[SignIn, Nothing]) -> Answer:
        token = asked.body.token.strip()
        caller = self.access.admit(f"Bearer {token}", Role.READ)
        session = Session(closed=self.access.closed, name=caller.name, role=caller.role)
        return Answer(session, headers=_cookie(token, asked.secure) if self.access.closed else {})

    async def sign_out(self, asked: Asked[Nothing, Nothing]) -> Answer:
        return Answer(Nothing(), headers=_cookie("", asked.secure, "; Max-Age=0"))


def authorization(
    method: str, headers: Mapping[str, str], cookies: Mapping[str, str]
) -> str | None:
    """The Authorization header that a request has, or has by its cookie; None: neither.

    Raises `Unauthenticated` for a change that is asked for by cookie alone and does not show that
    a page of ours asks: programs have tokens, and browsers say where a request comes from.
    """
    header = headers.get("Authorization")
    token = cookies.get(COOKIE)
    if header is not None or not token:
        return header
    if method not in SAFE and "Sec-Fetch-Site" not in headers and "Origin" not in headers:
        raise Unauthenticated(
            "a cookie alone changes nothing; send the token as Authorization: Bearer …"
        )
    return f"Bearer {token}"


def _cookie(token: str, secure: bool, more: str = "") -> Mapping[str, str]:
    """The header that sets it; a token that was admitted holds no sign that means anything there.
    It is sent over TLS only where it came so."""
    flags = "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")
    return {"Set-Cookie": f"{COOKIE}={token}{flags}{more}"}
