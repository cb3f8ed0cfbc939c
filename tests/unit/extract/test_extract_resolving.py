"""References that we resolve ourselves lead where the standard says."""

from __future__ import annotations

import pytest

from crawler.engine.extract.page import Page
from crawler.engine.urls import canonical


@pytest.mark.parametrize(
    "url", ["https://a.example/x/y/z?q", "https://a.example/x//", "https://a.example//", "http://a"]
)
@pytest.mark.parametrize(
    "reference",
    [
        *("/q", "//c.example/q", "/./q", "/../q#f", "q", "./q", ".", "q/./r", "?q", "\\q", "q\nr"),
        *("../q", "../../q", "../../../q", "..", "../", "..//q", "../?q", "../q/../r", "../q:r"),
        *("../a b", "../" * 1000 + "q", "../%2e%2e/q", "../.q", "http:q", "https:q", "\u00fc"),
    ],
)
def test_a_reference_leads_where_the_standard_says(url: str, reference: str) -> None:
    found = Page(b"", canonical(url)).resolve(reference)
    assert found is not None
    assert canonical(found) == canonical(reference, canonical(url))
