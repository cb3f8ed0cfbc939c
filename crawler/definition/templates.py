"""Texts with placeholders: ``https://api.example/items/{id}``, and the fields of forms.

``{name}`` stands for a value; ``{{`` and ``}}`` are the braces themselves. Names may be joined by
dots (``{author.id}``) where values are looked up in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import ada_url

from crawler.definition.checks import MAX_URL_CHARS, shortened
from crawler.definition.secrets import names_secret
from crawler.errors import InvalidInput

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME: Final = re.compile(r"[^\W\d][\w-]{0,62}(?:\.[^\W\d][\w-]{0,62}){0,15}")
_START: Final = re.compile(r"https?://[^/?#{}]+[/?]|/(?!/)|\?", re.IGNORECASE)
_DOTS: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and, between each two of them, the name of a value."""

    texts: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, values: Iterable[str]) -> str:
        """The text with one value for each of ``names``, in their order."""
        first, *others = self.texts
        return first + "".join(value + text for value, text in zip(values, others, strict=True))

    @property
    def is_one_value(self) -> bool:
        """Whether it is one placeholder and nothing around it."""
        return self.texts == ("", "")


def compile_template(text: str) -> Template:
    """Compile, or raise `InvalidInput` that does not repeat ``text``: it may be a secret."""
    texts, names, at = [""], [], 0
    for piece in _PIECE.finditer(text):
        texts[-1] += text[at : piece.start()]
        at = piece.end()
        if piece[0] in ("{{", "}}"):
            texts[-1] += piece[0][0]
        elif piece[1] is None:
            raise InvalidInput(f"has a lone {piece[0]}; write {piece[0] * 2} for the mark itself")
        else:
            if _NAME.fullmatch(piece[1]) is None:
                raise InvalidInput(
                    f"{shortened(piece[0])} names no value; write a name, or names joined by "
                    "dots, like {id} or {author.id}"
                )
            names.append(piece[1])
            texts.append("")
    texts[-1] += text[at:]
    return Template(tuple(texts), tuple(names))


def compile_url(text: str) -> Template:
    """A template of a URL: absolute, or beginning with ``/`` or ``?``; its placeholders stand in
    the path or the query, so that no value chooses the host."""
    if len(text) > MAX_URL_CHARS:
        raise InvalidInput(f"is longer than {MAX_URL_CHARS} characters")
    if _START.match(text) is None:
        raise InvalidInput(
            f"{shortened(text)}: write https://host/path, /path or ?query, with "
            "{placeholders} in path and query only"
        )
    if "#" in text:
        raise InvalidInput(f"{shortened(text)}: URLs have no #fragment here; leave it out")
    if any(char.isspace() or char < " " for char in text):
        raise InvalidInput(f"{shortened(text)}: white space in a URL is written %20")
    if names_secret(text):
        raise InvalidInput(
            "holds ${secret:NAME}, which stands in headers, cookies, auth, login and sinks only: "
            "URLs are stored and shown"
        )
    template = compile_template(text)
    path = "x".join(template.texts).partition("?")[0]
    if any(_DOTS.fullmatch(part) for part in path.split("/")):
        raise InvalidInput(f"{shortened(text)}: write the path without . and ..")
    try:
        url = ada_url.URL("x".join(template.texts), base="http://host.example/")
    except ValueError as error:
        raise InvalidInput(f"{shortened(text)} is not a URL") from error
    if url.username or url.password:
        raise InvalidInput("must not hold a user name or password: it would be stored in clear")
    return template


def strings_of(value: Any) -> Iterator[str]:
    """Every string in a JSON value that may hold placeholders: not the names of its tables."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
