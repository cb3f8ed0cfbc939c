"""Numbers as people write them on pages, read into exact ones."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

# Longer texts hold no number that is meant as the value of a field.
_MAX_CHARS: Final = 1_000
_MAX_DIGITS: Final = 60
_GAPS: Final = "'’ \u00a0\u2009\u202f"
_NO_GAPS: Final = str.maketrans("", "", _GAPS)
_NO_MARKS: Final = str.maketrans("", "", ".,")
_ARABIC_MARKS: Final = str.maketrans("٫٬", ".,")
# Thousands, and lakhs: groups of two or three digits, of one mark, the last of three.
_GROUPS: Final = re.compile(r"\d*|\d{1,3}(?:(?:,\d{2,3})*,\d{3}|(?:\.\d{2,3})*\.\d{3})")
_NUMBER: Final = re.compile(
    rf"(?:(?<![\w.,])(?P<sign>[-+−])\s?[$€£¥₹₽₩₺₴₫฿¢]?\s?)?"
    rf"(?P<digits>(?:\d{{1,3}}(?:[{_GAPS}]\d{{3}})+(?!\d)|\d+)(?:[.,]\d+)*|\.\d+)"
)
_MACHINE: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")


def read_decimal(text: str, *, machine: bool = False) -> Decimal:
    """The first number in ``text``; `ValueError` where there is none.

    With ``machine``, a text that a program would write is read as programs do (``1.299`` is
    1.299), any other text like the following.

    ``1.299,00 €``, ``$1,299.00``, ``1 299,00`` and ``1'299.00`` are all 1299.00. Where both marks
    occur, the last one is the decimal mark. One that occurs several times groups thousands. One
    that occurs once groups thousands where exactly three digits follow it and one to three digits
    other than a lone 0 stand before it (``1.299`` is 1299); otherwise it is the decimal mark.
    """
    if machine and len(text) <= _MAX_DIGITS and _MACHINE.fullmatch(text):
        return Decimal(text)
    match = _NUMBER.search(text[:_MAX_CHARS].translate(_ARABIC_MARKS))
    if match is None or len(match["digits"]) > _MAX_DIGITS:
        raise ValueError(f"no number in {text[:60]!r}")
    digits = _plain(match["digits"].translate(_NO_GAPS))
    return Decimal(f"-{digits}" if match["sign"] in ("-", "−") else digits)


def read_float(text: str) -> float:
    """Like `read_decimal`, but a text that a program would write is read as programs do:
    ``1.299`` is 1.299 and ``1e3`` is 1000."""
    plain = text.strip()
    machine = len(plain) <= _MAX_DIGITS and _MACHINE.fullmatch(plain)
    number = float(plain if machine else read_decimal(text))
    if not math.isfinite(number):
        raise ValueError(f"{plain} is too large")
    return number


def read_int(text: str, *, machine: bool = False) -> int:
    """Like `read_decimal`, but only whole numbers: ``1,299 reviews`` is 1299."""
    number = read_decimal(text, machine=machine)
    if number != number.to_integral_value():
        raise ValueError(f"{number} is not a whole number")
    return int(number)


def _plain(digits: str) -> str:
    """The digits with a point for the decimal mark and nothing else."""
    last = digits[max(digits.rfind("."), digits.rfind(","))]
    whole, _, fraction = digits.rpartition(last) if last in ".," else (digits, "", "")
    grouped = len(fraction) == 3 and len(whole) <= 3 and whole.strip("0")
    if last in whole or grouped:  # of two marks of one kind, both group
        whole, fraction = digits, ""
    if _GROUPS.fullmatch(whole) is None:
        raise ValueError(f"{digits!r} is not one number")
    return f"{whole.translate(_NO_MARKS)}.{fraction}".rstrip(".")
