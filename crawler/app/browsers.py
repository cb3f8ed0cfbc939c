"""Whether pages can be shown in a browser here, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec

from crawler.config import read_entrusted
from crawler.definition import Definition
from crawler.engine.browser.process import find_browser
from crawler.errors import Misconfigured
from crawler.ops.findings import Finding, fine, warning


def browser_doubts(definition: Definition) -> Sequence[str]:
    """What this machine lacks for rules that want a browser; other machines may have it."""
    at = next((at for at, rule in enumerate(definition.rules) if rule.fetcher == "browser"), None)
    if at is None:
        return ()
    try:
        find_browser(read_entrusted(None)["browser"])
    except Misconfigured as error:
        return (f"rules[{at}].fetcher: cannot be shown on this machine: {error}",)
    return ()


def browser_findings(program: str | None) -> Sequence[Finding]:
    """About this machine; none where nobody has meant to show pages on it."""
    if program is None and find_spec("playwright") is None:
        return ()
    try:
        found = find_browser(program)
    except Misconfigured as error:
        return (warning("browser", "pages cannot be shown on this machine", str(error)),)
    return (fine("browser", f"{found}, driven by Playwright {version('playwright')}"),)
