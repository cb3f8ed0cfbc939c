"""Who may use the proxy: whoever shows a token that may operate, where tokens are asked for."""

from __future__ import annotations

import base64
import binascii

from crawler.access import Access, Role
from crawler.cache.fields import Fields
from crawler.errors import Exhausted, Refused, Unauthenticated
from crawler.proxy.refusals import Refusal
from crawler.rates import Rates

_WAY = "send Proxy-Authorization: Basic with any user and a token as password"


def admit(access: Access, rates: Rates, fields: Fields) -> None:
    """Raises `Refusal` for a request that shows no token which may send requests from here (RFC
    7617)."""
    if not access.closed:
        return
    given = fields.all("proxy-authorization")
    try:
        caller = access.admit(f"Bearer {_password(given[0])}" if given else None, Role.OPERATE)
        rates.take(caller.name)
    except Unauthenticated as error:
        reason = "this token is not known here" if given else "a token is needed"
        raise Refusal(407, f"{reason}: {_WAY}", "http_request_denied") from error
    except Refused as error:
        raise Refusal(403, f"{error}; the proxy is for tokens that may operate", "other") from error
    except Exhausted as error:
        raise Refusal(429, str(error), "other", retry_after_s=1) from error


def _password(value: str) -> str:
    """Of Basic credentials; of Bearer ones what is borne; "" for anything else."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]
