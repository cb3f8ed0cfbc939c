"""What a run met, counted in the logs of its nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.chaos.history import Met

_LOST_ANSWER = "the answer of the database to a commit was lost"


def met_in(logs: Iterable[Path]) -> Met:
    """Of all logs together; lines that are no JSON are passed over."""
    kinds = Counter(kind for log in logs for line in _lines(log) for kind in _kinds(line))
    return Met(kinds["refusal"], kinds["ambiguous"], kinds["compaction"])


def _kinds(line: Mapping[str, Any]) -> Iterator[str]:
    said = line.get("msg")
    if said == "complete pages are not ours to commit" or line.get("outcome") == "fenced":
        yield "refusal"
    if said == "commit failed; repeating it" and _LOST_ANSWER in str(line.get("error")):
        yield "ambiguous"
    if said == "watched history is gone":
        yield "compaction"


def _lines(log: Path) -> Iterator[Mapping[str, Any]]:
    for text in log.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
