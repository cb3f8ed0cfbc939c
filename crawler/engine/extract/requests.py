"""Requests made out of values: URLs, forms and JSON bodies with their placeholders filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from crawler.definition import Follow
from crawler.definition.templates import Template, compile_template, compile_url
from crawler.engine.bodies import form_body, json_body
from crawler.engine.extract.page import as_json, storable

MAX_BODY: Final = 65_536  # bytes of a body
_DOTS: Final = frozenset({".", "..", "%2e", "%2e%2e", ".%2e", "%2e."})

Look = Callable[[str], Any]  # the value of a name; None: there is none


class Sending:
    """What a `Follow` sends, compiled."""

    def __init__(self, follow: Follow) -> None:
        self.method = "POST" if follow.posts else "GET"
        self.url = None if follow.url is None else compile_url(follow.url)
        self._form = None if follow.form is None else _templates(follow.form)
        self._json = None if follow.json_body is None else _with_templates(follow.json_body)

    @property
    def plain(self) -> bool:
        """Whether it is a link as links are: a GET of what a selector finds."""
        return self.url is None and self.method == "GET"

    def fill_url(self, look: Look) -> str:
        """The URL, not resolved yet. `ValueError` says which value is missing or does not fit."""
        assert self.url is not None
        filled = self.url.fill(quote(_word(name, look), safe="") for name in self.url.names)
        if any(part.lower() in _DOTS for part in filled.partition("?")[0].split("/")):
            raise ValueError(f"{filled[:100]!r} would lead out of its path")
        return filled

    def fill_body(self, look: Look) -> bytes | None:
        """The body; None for none. Raises like `fill_url`."""
        if self._form is not None:
            body = form_body((name, _filled(text, look)) for name, text in self._form.items())
        elif self._json is not None:
            body = json_body(_fill_json(self._json, look))
        else:
            return None
        if len(body) > MAX_BODY:
            raise ValueError(f"the body would be longer than {MAX_BODY} bytes")
        return body


def look_into(carried: Mapping[str, Any], scope: Any) -> Look:
    """Values by name: what is carried, otherwise what stands at that path in a JSON value."""

    def look(name: str) -> Any:
        if name in carried:
            return carried[name]
        value = scope
        for step in name.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return value

    return look


def _templates(texts: Mapping[str, str]) -> Mapping[str, Template]:
    return {name: compile_template(text) for name, text in texts.items()}


def _with_templates(value: Any) -> Any:
    """A JSON value with templates in place of its strings."""
    if isinstance(value, str):
        return compile_template(value)
    if isinstance(value, dict):
        return {name: _with_templates(entry) for name, entry in value.items()}
    return [_with_templates(entry) for entry in value] if isinstance(value, list) else value


def _fill_json(value: Any, look: Look) -> Any:
    """A lone placeholder stands for the value as it is, one within a text for its text."""
    if isinstance(value, Template):
        if not value.is_one_value:
            return _filled(value, look)
        found = look(value.names[0])
        if found is None:
            raise _missing(value.names[0])
        return storable(found)
    if isinstance(value, dict):
        return {name: _fill_json(entry, look) for name, entry in value.items()}
    return [_fill_json(entry, look) for entry in value] if isinstance(value, list) else value


def _filled(template: Template, look: Look) -> str:
    return template.fill(_word(name, look) for name in template.names)


def _word(name: str, look: Look) -> str:
    """One value as text."""
    value = look(name)
    if isinstance(value, bool | int | float):
        return as_json(storable(value))
    if not isinstance(value, str) or not value.strip():
        raise _missing(name)
    return str(storable(value.strip()))


def _missing(name: str) -> ValueError:
    return ValueError(f"{{{name}}} has no value to fill in")
