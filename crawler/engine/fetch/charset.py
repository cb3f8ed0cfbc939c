"""Which encoding a body is in, by the order of the standards: byte order mark, then header."""

from __future__ import annotations

import codecs

# Labels of the WHATWG Encoding standard (encoding.spec.whatwg.org, "Names and labels") by the
# name they stand for. Names themselves are labels too; spellings that differ only in the
# separators of "iso-8859-N" are generated below.
_LABELS = {
    "utf-8": "utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "utf-16le": "utf-16 ucs-2 unicode unicodefeff iso-10646-ucs-2 csunicode",
    "utf-16be": "unicodefffe",
    "ibm866": "866 cp866 csibm866",
    "iso-8859-2": "latin2 l2 csisolatin2 iso-ir-101",
    "iso-8859-3": "latin3 l3 csisolatin3 iso-ir-109",
    "iso-8859-4": "latin4 l4 csisolatin4 iso-ir-110",
    "iso-8859-5": "cyrillic csisolatincyrillic iso-ir-144",
    "iso-8859-6": "arabic asmo-708 csisolatinarabic ecma-114 iso-ir-127 iso-8859-6-e iso-8859-6-i",
    "iso-8859-7": "greek greek8 csisolatingreek ecma-118 elot_928 sun_eu_greek iso-ir-126",
    "iso-8859-8": "hebrew visual csisolatinhebrew iso-ir-138 iso-8859-8-e logical iso-8859-8-i",
    "iso-8859-10": "latin6 l6 csisolatin6 iso-ir-157",
    "iso-8859-13": "",
    "iso-8859-14": "",
    "iso-8859-15": "csisolatin9 l9 latin9",
    "iso-8859-16": "",
    "koi8-r": "koi koi8 koi8_r cskoi8r",
    "koi8-u": "koi8-ru",
    "macintosh": "mac x-mac-roman csmacintosh",
    "windows-874": "dos-874 tis-620 iso-8859-11",
    "windows-1250": "cp1250 x-cp1250",
    "windows-1251": "cp1251 x-cp1251",
    "windows-1252": "ascii us-ascii ansi_x3.4-1968 latin1 l1 csisolatin1 iso-ir-100 ibm819 cp819 "
    "cp1252 x-cp1252 iso-8859-1",
    "windows-1253": "cp1253 x-cp1253",
    "windows-1254": "cp1254 x-cp1254 latin5 l5 csisolatin5 iso-ir-148 iso-8859-9",
    "windows-1255": "cp1255 x-cp1255",
    "windows-1256": "cp1256 x-cp1256",
    "windows-1257": "cp1257 x-cp1257",
    "windows-1258": "cp1258 x-cp1258",
    "x-mac-cyrillic": "x-mac-ukrainian",
    "gbk": "gb2312 gb_2312 gb_2312-80 chinese csgb2312 csiso58gb231280 iso-ir-58 x-gbk",
    "gb18030": "",
    "big5": "big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese x-euc-jp",
    "iso-2022-jp": "csiso2022jp",
    "shift_jis": "shift-jis sjis x-sjis ms_kanji ms932 windows-31j csshiftjis",
    "euc-kr": "cseuckr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 csksc56011987 "
    "iso-ir-149 windows-949",
}


def _spellings(label: str) -> tuple[str, ...]:
    if not label.startswith("iso-8859-"):
        return (label,)
    part = label.removeprefix("iso-8859-")
    return label, f"iso8859-{part}", f"iso8859{part}", f"iso_8859-{part}"


_NAMES = {
    spelling: name
    for name, labels in _LABELS.items()
    for label in (name, *labels.split())
    for spelling in _spellings(label)
}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
)


def encoding_for(label: str) -> str | None:
    """The WHATWG name, in lower case, that a label stands for; None for one that is no label."""
    return _NAMES.get(label.strip(" \t\n\f\r\"'").lower())


def parameter(content_type: str) -> str | None:
    """The ``charset`` parameter of a Content-Type, as it stands there."""
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip()
    return None


def declared(body: bytes, content_type: str) -> str | None:
    """The encoding by byte order mark, else by header; None leaves it to the parser to sniff."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return name
    label = parameter(content_type)
    return encoding_for(label) if label else None
