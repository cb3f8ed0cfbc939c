"""What people are told about browsers on their machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crawler.app.browsers import browser_doubts, browser_findings
from crawler.definition import from_data
from crawler.engine.browser.process import find_browser
from crawler.errors import Misconfigured
from crawler.ops.findings import Severity

SHOWN = [{"match": "**"}, {"match": "https://shop.example/app", "fetcher": "browser"}]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "chromium"
    file.write_text("")
    file.chmod(0o755)
    return file


def test_the_browser_that_is_named_is_the_one(program: Path) -> None:
    assert find_browser(str(program)) == str(program)
    program.chmod(0o644)
    with pytest.raises(Misconfigured, match="is no program that can be started"):
        find_browser(str(program))


def test_without_playwright_the_message_says_what_to_install(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    with pytest.raises(Misconfigured, match=r'pip install "crawler-cluster\[browser\]"'):
        find_browser(str(program))


def test_a_definition_is_doubted_where_its_pages_cannot_be_shown(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRAWLER_BROWSER", str(program))
    definition = from_data({"start_urls": ["https://shop.example/"], "rules": SHOWN})
    assert browser_doubts(definition) == ()
    monkeypatch.setitem(sys.modules, "playwright", None)
    [doubt] = browser_doubts(definition)
    assert doubt.startswith("rules[1].fetcher: cannot be shown on this machine: ")
    plain = from_data({"start_urls": ["https://shop.example/"], "rules": SHOWN[:1]})
    assert browser_doubts(plain) == ()


def test_the_doctor_looks_only_where_somebody_means_to_show_pages(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = browser_findings(str(program))
    assert found.severity is Severity.OK
    assert found.text.startswith(f"{program}, driven by Playwright 1.")
    monkeypatch.setitem(sys.modules, "playwright", None)
    assert browser_findings(None) == ()
    [missing] = browser_findings(str(program))
    assert (missing.severity, "pip install" in missing.advice) == (Severity.WARNING, True)
