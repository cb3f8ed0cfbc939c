"""Builds processes out of the rooms: the only room that knows them all."""

from crawler.telemetry.lean import load_structlog, look_rarely

look_rarely()
load_structlog()  # before any module that logs
