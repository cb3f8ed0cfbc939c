"""What a definition may say, by its published JSON Schema."""

from __future__ import annotations

import json

from crawler.definition import json_schema
from reference import schema
from reference.markdown import prose

INTRODUCTION = """# Definitions

A definition is TOML or JSON in a file, and JSON in the API. `crawler check FILE` names the field
and the line of what is wrong with one. Names are Scrapy's in lower case.
"""


def page() -> str:
    """The settings of a crawl, then the tables within it; the schema itself at the end."""
    whole = json_schema()
    parts = [INTRODUCTION, schema.fields(whole, _link)]
    for name, inner in whole["$defs"].items():
        parts.append(f"## {name}\n")
        parts.append(prose(inner.get("description", "")) + "\n")
        parts.append(schema.fields(inner, _link))
    parts += ["## JSON Schema\n", f"```json\n{json.dumps(whole, indent=1)}\n```\n"]
    return "\n".join(parts)


def _link(name: str) -> str:
    return f"#{name.lower()}"
