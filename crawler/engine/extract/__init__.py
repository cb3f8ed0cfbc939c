"""What a page yields: items, links, and how each field came about."""

from crawler.engine.extract.extractor import Extraction, Extractor
from crawler.engine.extract.guess import Guess, guess
from crawler.engine.extract.links import Link
from crawler.engine.extract.notes import FieldTrace
from crawler.engine.extract.starter import starter

__all__ = ["Extraction", "Extractor", "FieldTrace", "Guess", "Link", "guess", "starter"]
