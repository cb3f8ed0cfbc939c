"""What a URL is to us: its canonical form, its host, its fingerprint, whether it is in scope."""

from crawler.engine.urls.canonical import MAX_URL, canonical, host_of
from crawler.engine.urls.fingerprint import fingerprint, page_key
from crawler.engine.urls.query import Tidy, tidier
from crawler.engine.urls.scope import Scope, name_of
from crawler.engine.urls.traps import Traps

__all__ = [
    "MAX_URL",
    "Scope",
    "Tidy",
    "Traps",
    "canonical",
    "fingerprint",
    "host_of",
    "name_of",
    "page_key",
    "tidier",
]
