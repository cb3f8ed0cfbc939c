"""Numbers, dates and texts as pages have them."""

from __future__ import annotations

import pytest

from crawler.engine.extract.dates import read_datetime
from crawler.engine.extract.numbers import read_decimal, read_float, read_int
from crawler.engine.extract.page import storable


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.299,00 €", "1299.00"),
        ("$1,299.00", "1299.00"),
        ("1 299,00", "1299.00"),
        ("1\u202f299,00\xa0€", "1299.00"),
        ("1'299.50 CHF", "1299.50"),
        ("EUR 1.234.567,89", "1234567.89"),
        ("1,00,000.00", "100000.00"),
        ("1.299", "1299"),
        ("1,299", "1299"),
        ("1.299,-", "1299"),
        ("0.125", "0.125"),
        ("0,5", "0.5"),
        ("12,5", "12.5"),
        ("1299.000", "1299.000"),
        ("1.299.000", "1299000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-5", "-5"),
        ("−3,20", "-3.20"),
        ("-€5.50", "-5.50"),
        ("SKU-5", "5"),
        ("from 12.99 to 15.99", "12.99"),
        ("12 345 reviews", "12345"),
        ("٣٫٥", "3.5"),
    ],
)
def test_decimals_as_people_write_them(text: str, number: str) -> None:
    assert str(read_decimal(text)) == number


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "1,2,3", "1.299,00,5", "9" * 61, "€"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_decimal(text)


def test_floats_and_whole_numbers() -> None:
    assert read_float("1.299") == 1.299  # what a program wrote
    assert read_float(" 1e3 ") == 1000.0
    assert read_float("1.299,5 km") == 1299.5
    assert read_int("1,299 reviews") == 1299
    assert read_int("5.00") == 5
    for text in ("1e999", "nan", "inf"):
        with pytest.raises(ValueError, match=r"number|large"):
            read_float(text)
    with pytest.raises(ValueError, match="not a whole number"):
        read_int("1.5")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02", "2024-01-02"),
        ("20240102", "2024-01-02"),
        ("2024-01-02T10:00:00Z", "2024-01-02T10:00:00+00:00"),
        ("2024-01-02 10:00", "2024-01-02T10:00:00"),
        ("2024-01-02T10:00:00.5+0100", "2024-01-02T10:00:00.500000+01:00"),
        ("Tue, 2 Jan 2024 10:00:00 +0100", "2024-01-02T10:00:00+01:00"),
        ("2 Jan 2024 10:00:00 GMT", "2024-01-02T10:00:00+00:00"),
        ("1704189600", "2024-01-02T10:00:00+00:00"),
        ("1704189600123", "2024-01-02T10:00:00+00:00"),
        ("1704189600.123", "2024-01-02T10:00:00+00:00"),
        ("2 January 2024", "2024-01-02"),
        ("2nd of March 2024", "2024-03-02"),
        ("Published: Jan 2, 2024 at 5:30 PM", "2024-01-02T17:30:00"),
        ("May 5, 2024 12:05 am", "2024-05-05T00:05:00"),
        ("Sept. 5, 2023 10:00 UTC", "2023-09-05T10:00:00+00:00"),
        ("02.01.2024, 14:30 Uhr", "2024-01-02T14:30:00"),
        ("2024/01/02 10:11", "2024-01-02T10:11:00"),
        ("31/12/2024", "2024-12-31"),
        ("12/31/2024", "2024-12-31"),
    ],
)
def test_dates_come_as_iso_8601_and_no_more_exact(text: str, moment: str) -> None:
    assert read_datetime(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "01/02/2024", "32.01.2024", "2024-13-01", "2024-01", "12 Foo 2024",
     "May 5, 2024 25:05", "x" * 200],
)  # fmt: skip
def test_what_is_no_certain_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_datetime(text)


def test_values_are_made_fit_for_every_store() -> None:
    deep: object = "x"
    for _ in range(100):
        deep = [deep]
    value = storable(
        {"a\x00": "b\ud800", "n": float("inf"), "l": [1, True, None, 2.5], "deep": deep}
    )
    assert value["a\ufffd"] == "b\ufffd"
    assert value["n"] is None
    assert value["l"] == [1, True, None, 2.5]
    assert str(value["deep"]).count("[") == 31
