"""Encodings by the names of the WHATWG: what a label means, and which one a body is in."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import turbohtml

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
)
# What Python calls otherwise, or knows in a narrower form under the same name. ``replacement`` is
# written as UTF-8, as UTF-16 is (encoding.spec.whatwg.org, "get an output encoding").
_CODECS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "replacement": "utf-8",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-user-defined": "ascii",
}
_XML = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']""")
_UTF_16 = ((b"<\0?\0", "utf-16le"), (b"\0<\0?", "utf-16be"))
_PARAMETER = re.compile(r';([^;="]*)=[ \t]*("(?:[^"\\]|\\.)*"?|[^;]*)')


@lru_cache(maxsize=256)
def encoding_for(label: str) -> str | None:
    """The name, in lower case, of the encoding that a label stands for; None for one that is no
    label. Labels are those of the WHATWG (encoding.spec.whatwg.org, "Names and labels"), as the
    parser that decodes pages knows them."""
    try:
        found = turbohtml.parse(b"", encoding=label.strip(" \t\n\f\r\"'"), positions=False).encoding
    except (LookupError, ValueError):
        return None
    return found.lower() if found else None


def codec_of(encoding: str) -> str:
    """The codec of Python that comes closest to an encoding (its name in any case): for what the
    parser does not do, which decodes bodies as a whole."""
    name = encoding.lower()
    return _CODECS.get(name, name)


def mark_of(body: bytes) -> str | None:
    """The encoding that a byte order mark tells; None without one."""
    return next((name for mark, name in _MARKS if body.startswith(mark)), None)


def parameter(content_type: str) -> str | None:
    """The first ``charset`` parameter of a Content-Type, as it stands there, quotes included."""
    for name, value in _PARAMETER.findall(content_type):
        if name.strip().lower() == "charset":
            return str(value).strip()
    return None


def declared_in_xml(head: bytes) -> str | None:
    """The encoding that the beginning of an XML document tells by its declaration; None without."""
    for looks, wide in _UTF_16:
        if head.startswith(looks):
            return wide
    found = _XML.match(head)
    name = encoding_for(found[1].decode("ascii")) if found is not None else None
    # What is readable as ASCII is in no UTF-16, whatever it says of itself.
    return "utf-8" if name is not None and name.startswith("utf-16") else name


def declared(body: bytes, content_type: str) -> str | None:
    """The encoding by byte order mark, else by header; None leaves it to the parser to sniff."""
    if (marked := mark_of(body)) is not None:
        return marked
    label = parameter(content_type)
    return encoding_for(label) if label else None
