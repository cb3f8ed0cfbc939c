"""Tasks: resources that fetch one page, with what their creators call them."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from crawler.definition.rules import Model

Word = Annotated[str, Field(strict=True, max_length=200)]


class Task(Model):
    """``name`` need not be unique; ``type`` is whatever its creator sorts tasks by."""

    name: Word = ""
    type: Word = ""


def task_of(definition: str | None) -> tuple[Task, str] | None:
    """The task that a definition (canonical JSON) says it is, and its target; None: it is none.
    Read without the schema, because a list of tasks reads thousands."""
    if definition is None or '"task"' not in definition:
        return None
    try:
        read = json.loads(definition)
        name, kind = read["task"].get("name", ""), read["task"].get("type", "")
        (target,) = read["start_urls"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    texts = (name, kind, target)
    if not all(isinstance(each, str) for each in texts):
        return None
    return Task.model_construct(name=name, type=kind), target
