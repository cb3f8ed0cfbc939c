"""What a single setting may hold, each check a function that returns the value or refuses it."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import ada_url
from pydantic_core import PydanticCustomError

from crawler.definition.masking import MASK
from crawler.definition.secrets import PLAIN_NAME, is_well_formed, names_secret
from crawler.errors import InvalidInput

MAX_URL_CHARS: Final = 2_048
_MAX_HEADER_CHARS: Final = 8_192
_HTTP: Final = re.compile(r"https?://", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110 §5.6.2
_LABEL: Final = re.compile(r"[^\W\d][\w-]{0,62}")
_RULE_NAME: Final = re.compile(r"\w[\w.-]{0,63}")
_POOL_NAME: Final = re.compile(PLAIN_NAME)
_JSONLD: Final = re.compile(r"@|[^.\s]+(?:\.[^.\s]+)*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_QUERY_NAME: Final = re.compile(r"[^&=#?\s]{1,200}")
_PASSWORD: Final = re.compile(r":[^/:\s]*@")
_SET_ELSEWHERE: Final = {
    "user-agent": "set user_agent instead",
    "cookie": "set cookies instead",
    "host": "it follows from the URL",
    "connection": "it belongs to the connection",
    "content-length": "it belongs to the connection",
    "transfer-encoding": "it belongs to the connection",
    "accept-encoding": "it says what can be decoded here",
}
_KINDS: Final[Mapping[str | None, tuple[tuple[type, ...], str]]] = {
    None: ((str, int, float, bool), "a string, a number, true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
}


def wrong(reason: str) -> PydanticCustomError:
    """A refusal in our own words."""
    return PydanticCustomError("wrong", "{reason}", {"reason": reason})


def compiles(compiler: Callable[[str], object]) -> Callable[[str], str]:
    """A check that refuses what ``compiler`` refuses."""

    def check(text: str) -> str:
        try:
            compiler(text)
        except InvalidInput as error:
            raise wrong(str(error)) from error
        return text

    return check


def start_url(text: str) -> str:
    """An absolute http(s) URL without credentials, at most `MAX_URL_CHARS` long."""
    if len(text) > MAX_URL_CHARS:
        raise wrong(f"is longer than {MAX_URL_CHARS} characters")
    if _HTTP.match(text) is None or any(char.isspace() or char < " " for char in text):
        raise wrong(f"must be an absolute URL like https://shop.example/ (got {shortened(text)})")
    try:
        url = ada_url.URL(text)
    except ValueError as error:
        raise wrong(f"is not a URL (got {shortened(text)})") from error
    if url.username or url.password:
        raise wrong("must not hold a user name or password: it would be stored in clear")
    if names_secret(text):
        raise wrong(
            "holds ${secret:NAME}, which stands in headers, cookies, auth, login and sinks only: "
            "URLs are stored and shown"
        )
    return text


def domain(text: str) -> str:
    """A host name or address without scheme, port or path; returned in lower-case ASCII."""
    advice = f"must be a bare host name like shop.example (got {shortened(text)})"
    if text.startswith(("*.", ".")):
        raise wrong("subdomains are included; " + advice)
    try:
        host = str(ipaddress.IPv6Address(text.strip("[]")))
        return f"[{host}]"
    except ValueError:
        pass
    if not text or len(text) > 253 or any(char in "/:@?#*%\\[]" or char <= " " for char in text):
        raise wrong(advice)
    try:
        return ada_url.URL(f"http://{text}/").hostname
    except ValueError as error:
        raise wrong(advice) from error


def user_agent(text: str) -> str:
    """Printable ASCII."""
    if not text.isascii() or not text.isprintable() or not text.strip():
        raise wrong("must be one line of printable ASCII")
    return text


def headers(values: Mapping[str, str]) -> Mapping[str, str]:
    """Header names as in RFC 9110, each once, without those that are set elsewhere."""
    if len({name.lower() for name in values}) < len(values):
        raise wrong("holds one header twice (upper and lower case are the same)")
    for name, value in values.items():
        if _TOKEN.fullmatch(name) is None:
            raise wrong(f"{shortened(name)} is not a header name")
        if name.lower() in _SET_ELSEWHERE:
            raise wrong(f"{name} cannot be set here: {_SET_ELSEWHERE[name.lower()]}")
        _check_sent(name, value)
    return values


def cookies(values: Mapping[str, str]) -> Mapping[str, str]:
    """Cookie names and values as in RFC 6265 §4.1.1."""
    for name, value in values.items():
        if _TOKEN.fullmatch(name) is None:
            raise wrong(f"{shortened(name)} is not a cookie name")
        _check_sent(name, value)
        if any(char in ';, "\\' for char in value):
            raise wrong(f"{_value_of(name)} must not hold blanks, quotes, commas or semicolons")
    return values


def _check_sent(name: str, value: str) -> None:
    # Nothing here repeats the value: it may be a secret.
    if len(value) > _MAX_HEADER_CHARS:
        raise wrong(f"{_value_of(name)} is longer than {_MAX_HEADER_CHARS} characters")
    if not value.isascii() or not value.isprintable():
        raise wrong(f"{_value_of(name)} must be one line of printable ASCII")
    if value == MASK:
        raise wrong(f"{_value_of(name)} is {MASK}, which is only how it is shown; write it out")
    if not is_well_formed(value):
        raise wrong(f"{_value_of(name)} holds ${{ without being a ${{secret:NAME}}")


def _value_of(name: str) -> str:
    return f"the value of {name}" if name else "the value"


def user_name(text: str) -> str:
    """A user of HTTP's Basic scheme: without a colon (RFC 7617 §2), but for a secret's."""
    if ":" in text.replace("${secret:", ""):
        raise wrong("must not hold a colon")
    return credential(text)


def form_secret(text: str) -> str:
    """A field of a login; never repeated, for it may be a secret."""
    if text == MASK:
        raise wrong(f"is {MASK}, which is only how it is shown; write it out")
    if not is_well_formed(text):
        raise wrong("holds ${ without being a ${secret:NAME}")
    return text


def credential(text: str) -> str:
    """A password or token; never repeated, for it may be a secret."""
    _check_sent("", text)
    if not text:
        raise wrong("is empty")
    return text


def pool_name(text: str) -> str:
    """The name of a pool of proxies."""
    if _POOL_NAME.fullmatch(text) is None:
        raise wrong(
            f"must be 1 to 64 letters, digits, _ - or ., a letter or digit first "
            f"(got {shortened(text)})"
        )
    return text


def different(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Texts, each once."""
    if len(set(texts)) < len(texts):
        raise wrong("holds an entry twice")
    return texts


def label(text: str) -> str:
    """The name of an item's field or of a carried value."""
    if _LABEL.fullmatch(text) is None:
        raise wrong(
            f"must be 1 to 63 letters, digits, _ or -, a letter or _ first (got {shortened(text)})"
        )
    return text


def field_name(text: str) -> str:
    """What an item's field is called. Names of our own begin with ``_``."""
    if text.startswith("_"):
        raise wrong(
            "names that begin with _ are for what is added to every item (_url, _rule, _missing); "
            "choose another"
        )
    return label(text)


def rule_name(text: str) -> str:
    """The name of a rule."""
    if _RULE_NAME.fullmatch(text) is None:
        raise wrong(
            "must be 1 to 64 letters, digits, _ - or ., a letter or digit first "
            f"(got {shortened(text)})"
        )
    return text


def query_name(text: str) -> str:
    """The name of a query's parameter, as URLs spell it, with ``*`` for any characters."""
    if not text.isascii() or not text.isprintable() or _QUERY_NAME.fullmatch(text) is None:
        raise wrong(
            "must be the name of a parameter as URLs spell it, like ref or utm_* "
            f"(got {shortened(text)})"
        )
    return text


def jsonld_path(text: str) -> str:
    """Names joined by dots, or ``@`` for the whole object."""
    if len(text) > MAX_URL_CHARS or _JSONLD.fullmatch(text) is None:
        raise wrong(f"must be names joined by dots, like offers.price (got {shortened(text)})")
    return text


def check_default(kind: str | None, many: bool, value: Any) -> None:
    """Refuse a default that a field of type ``kind`` (None: any) could not hold."""
    if many:
        if not isinstance(value, list):
            raise wrong("default must be a list, since many = true")
        for entry in value:
            check_default(kind, False, entry)
        return
    types, words = _KINDS.get(kind, ((str,), "a string"))
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if kind == "decimal":
        fits, words = fits and _NUMBER.fullmatch(value) is not None, 'a number in quotes, like "0"'
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise wrong(f"default must be {words} for this type (got {shortened(value)})")


def shortened(value: object) -> str:
    """The value as people may read it in a message: without what may be a password in a URL."""
    text = _PASSWORD.sub(f":{MASK}@", repr(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def suggestion(name: str, known: Iterable[str | None]) -> str:
    """``, did you mean …?`` where a known name is close, otherwise nothing."""
    plain = name.lower().replace("-", "_")
    close = get_close_matches(plain, [entry for entry in known if entry], n=1, cutoff=0.7)
    return f", did you mean {close[0]}?" if close else ""
