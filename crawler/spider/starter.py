"""A first spider, made of what was found on one real page, for people to go on from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from keyword import iskeyword

from crawler.engine.extract.guess import Field, Guess, shown

_NOTHING = Guess("https://example.org/", (), None, (Field("title", "", "h1"),))


def starter(name: str, found: Guess | None) -> str:
    """The code of a spider of this name, which runs as it is. None: there was no page."""
    found = found or _NOTHING
    lines = [
        '"""A starting point: change what does not fit, then see with',
        "",
        f"    crawler shell URL --definition {name}.py  # the page, and try_rule() on it",
        f"    crawler try {name}.py URL                 # what a callback yields",
        f"    crawler run {name}.py -o items.jsonl      # goes on where it was stopped",
        '"""',
        "",
        "from crawler.spider import Spider",
        "",
        "",
        f"class {class_name(name)}(Spider):",
        f"    name = {json.dumps(name, ensure_ascii=False)}",
        f"    start_urls = [{_quoted(found.url)}]",
        "    # Polite as it stands: one request per host at a time, a second between two,",
        '    # robots.txt obeyed. custom_settings = {"max_pages": 100} would end the crawl early.',
        "",
        "    def parse(self, page):",
        *(_list_callbacks(found) if found.blocks else _site_callback(found)),
    ]
    return "\n".join(lines) + "\n"


def class_name(name: str) -> str:
    """``NewsOfToday`` for ``news-of.today``."""
    parts = re.split(r"[\W_]+", name)
    found = "".join(part[:1].upper() + part[1:] for part in parts)
    usable = found.isidentifier() and not iskeyword(found) and found != "Spider"
    return found if usable else f"Spider{found}"


def _list_callbacks(found: Guess) -> Iterator[str]:
    best, *others = found.blocks
    yield f"        # {best.count} links, like {_quoted(shown(best.example))}"
    yield f"        yield from page.follow_all({_quoted(best.css)}, self.parse_page)"
    for block in others[:3]:
        yield f"        # also repeated: {_quoted(block.css)}, {block.count} links"
    if found.following:
        yield f"        yield from page.follow_all({_quoted(found.following)}, self.parse)"
    else:
        yield "        # no link to a next page was found, which self.parse would read, too"
    yield ""
    yield "    def parse_page(self, page):"
    yield from _item(found.fields)


def _site_callback(found: Guess) -> Iterator[str]:
    yield from _item(found.fields)
    yield '        yield from page.follow_all("a[href]")  # every link in scope; narrow it down'


def _item(fields: Sequence[Field]) -> Iterator[str]:
    yield "        yield {"
    yield '            "url": page.url,'
    for each in fields:
        if each.css:
            example = f"  # {_quoted(shown(each.example))}" if each.example else ""
            yield f"            {_quoted(each.name)}: {_value(each)},{example}"
    yield "        }"


def _value(field: Field) -> str:
    css = f"page.css({_quoted(field.css)})"
    if field.many:
        return f"[each.text() for each in {css}]"
    return f"{css}.get()" if "::" in field.css else f"{css}.text()"


def _quoted(text: str) -> str:
    """A string of Python: its escapes are those of JSON, too."""
    return json.dumps(text, ensure_ascii=False)
