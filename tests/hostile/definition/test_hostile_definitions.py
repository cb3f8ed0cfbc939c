"""Definitions of full size that were made to hurt are judged soon, in few words."""

from __future__ import annotations

import pytest

from crawler.definition import load_text
from crawler.errors import CrawlerError
from tests.unit.definition.test_definition_loading import RULE, START


@pytest.mark.threat(25)
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        START + "\n".join(f"k{n} = 1" for n in range(15_000)),
        "{" + ",".join(f'"{n}": 1' for n in range(20_000)) + ', "1": 2}',
        START + "[[rules]]\nmatch = '**'\n" * 5_000,
        START + "[" * 100_000,
        START + "x = '''" + "'\\'" * 50_000,
        RULE + "next = '" + ":is(" * 900 + "a" + ")" * 900 + "'",
        RULE + "next = { xpath = '" + "(" * 1_900 + "//a" + ")" * 1_900 + "' }",
        START + "[[rules]]\nmatch = 'https://x/" + "*a" * 1_900 + "'",
    ],
    ids=["keys", "doubles", "rules", "brackets", "string", "css", "xpath", "glob"],
)
def test_hostile_texts_are_judged_soon(text: str) -> None:
    with pytest.raises(CrawlerError) as caught:
        load_text(text)
    assert len(str(caught.value)) < 5_000
