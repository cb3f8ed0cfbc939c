"""What a spider asks for: one more page, and who is to read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from crawler.engine.bodies import form_body, json_body
from crawler.spider.plain import plain_meta

MAX_BODY: Final = 65_536  # bytes
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_MOST_PRIORITY: Final = 1_000_000
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

Callback = str | Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One page to fetch, by the link filter and the politeness that links of rules go through.

    ``callback``: a method of the spider, or its name; None: ``parse``. ``method``: unless said,
    POST where something is sent, otherwise GET. What is sent is one of ``form`` (urlencoded; a list
    is one field several times), ``json`` (a dict or list) and ``body`` (JSON or a form, written
    out). ``meta``: JSON values that are `Page.meta` of the answer, and survive a stop. Of the pages
    that a host has at hand those of higher ``priority`` come first.

    Requests are told apart by method, URL and what they send; each is fetched once. Raises
    `ValueError` that names the argument.
    """

    url: str
    callback: Callback | None = None
    method: str | None = None
    form: Mapping[str, str | Sequence[str]] | None = None
    json: Mapping[str, Any] | list[Any] | None = None
    body: bytes | str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0

    def __post_init__(self) -> None:
        if _SCHEME.match(str(self.url)) is None:
            raise ValueError(
                f"url: must be absolute, like https://shop.example/ (got {self.url!r:.100}); "
                "page.follow takes relative ones"
            )
        given = [name for name in ("form", "json", "body") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[1]}: stands beside {given[0]}; keep one of them")
        if self.method is not None and self.method not in METHODS:
            raise ValueError(f"method: one of {', '.join(METHODS)} (got {self.method!r})")
        if given and self.method in ("GET", "HEAD"):
            raise ValueError(f"{given[0]}: {self.method} sends nothing; leave method out, or POST")
        if type(self.priority) is not int or abs(self.priority) > _MOST_PRIORITY:
            raise ValueError(
                f"priority: a whole number up to {_MOST_PRIORITY:,} (got {self.priority!r})"
            )
        object.__setattr__(self, "meta", plain_meta(self.meta))
        self.sent()

    @property
    def verb(self) -> str:
        """The method that it is sent by."""
        return self.method or ("GET" if self.sent() is None else "POST")

    @property
    def label(self) -> str | None:
        """The name of its callback; None for the default. Raises `ValueError`."""
        callback = self.callback
        if callback is None or isinstance(callback, str):
            return callback
        name = getattr(callback, "__name__", "")
        if getattr(callback, "__self__", None) is None or not name.isidentifier():
            raise ValueError(
                f"callback: must be a method of the spider, or its name (got {callback!r:.100}); "
                "what else a page needs goes into meta"
            )
        return name

    def sent(self) -> bytes | None:
        """The bytes that it sends; None for none. Raises `ValueError`."""
        if self.form is not None:
            body = form_body(_form_fields(self.form))
        elif self.json is not None:
            body = _json_body(self.json)
        elif self.body is not None:
            body = self.body.encode() if isinstance(self.body, str) else bytes(self.body)
        else:
            return None
        if len(body) > MAX_BODY:
            raise ValueError(f"body: at most {MAX_BODY:,} bytes are sent (this has {len(body):,})")
        return body


def _form_fields(form: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in form.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(each, str | int | float):
                raise ValueError(
                    f"form[{name!r}]: a string, a number, or a list of these "
                    f"(got {type(each).__name__})"
                )
            yield name, str(each)


def _json_body(value: Any) -> bytes:
    if not isinstance(value, Mapping | list):
        raise ValueError(f"json: must be a dict or a list (got {type(value).__name__})")
    try:
        return json_body(dict(value) if isinstance(value, Mapping) else value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"json: {error}") from error
