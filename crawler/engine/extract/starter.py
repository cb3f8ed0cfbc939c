"""A first definition made of what was found on one real page, for people to go on from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import ada_url

from crawler.engine.extract.guess import Block, Field, Guess, shown


def starter(found: Guess) -> str:
    """A commented TOML definition that loads."""
    lines = [
        "# A starting point, made from one page: change what does not fit, then see with",
        "#     crawler try FILE URL",
        "# field by field what each rule yields.",
        f"start_urls = [{_quoted(found.url)}]",
        "# Polite as it stands: one request per host at a time, a second between two,",
        "# robots.txt obeyed. max_pages = 100 would end the crawl early.",
        "",
    ]
    lines += _list_rules(found) if found.blocks else _site_rule(found)
    return "\n".join(lines) + "\n"


def _list_rules(found: Guess) -> list[str]:
    best, *others = found.blocks
    return [
        "# Pages that list others",
        "[[rules]]",
        'name = "list"',
        f"match = {_quoted(_literal(found.url))}",
        f"next = {_quoted(found.following)}"
        if found.following
        else '# next = "a[rel=next]"  # no link to a next page was found',
        f'follow = [{{ css = {_quoted(best.css)}, to = "page" }}]  # {_counted(best)}',
        *(f"# also repeated: {_quoted(block.css)}, {_counted(block)}" for block in others[:3]),
        "",
        "# The pages that are listed; the examples are from the page above",
        "[[rules]]",
        'name = "page"',
        *_told(found.fields),
    ]


def _counted(block: Block) -> str:
    return f"{block.count} links, like {_quoted(shown(block.example))}"


def _site_rule(found: Guess) -> list[str]:
    return [
        "[[rules]]",
        'name = "page"',
        f"match = {_quoted(f'{ada_url.URL(found.url).origin}/**')}",
        'follow = ["a[href]"]  # every link in scope; narrow it down',
        *_told(found.fields),
    ]


def _told(fields: Sequence[Field]) -> list[str]:
    return [
        f"item.{each.name} = {_selector(each)}  # {_quoted(shown(each.example))}" for each in fields
    ]


def _selector(field: Field) -> str:
    """``{ css = "h1", required = true }``."""
    parts = [
        f"{kind} = {_quoted(text)}"
        for kind, text in (("css", field.css), ("jsonld", field.jsonld), ("type", field.type))
        if text
    ]
    parts += [f"{flag} = true" for flag in ("required", "many") if getattr(field, flag)]
    return f"{{ {', '.join(parts)} }}"


def _literal(url: str) -> str:
    """A pattern that fits this URL alone."""
    return f"re:^{re.escape(url)}$" if "*" in url else url


def _quoted(text: str) -> str:
    """A TOML string: its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
