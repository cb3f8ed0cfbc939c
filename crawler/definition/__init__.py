"""What a crawl's definition may say: schema, loading, selectors, which rule takes which page."""

from crawler.definition.doubts import doubts
from crawler.definition.loading import (
    MAX_DEFINITION_BYTES,
    for_url,
    from_data,
    from_json,
    json_schema,
    load_text,
    override,
)
from crawler.definition.masking import masked
from crawler.definition.problems import InvalidDefinition, Problem
from crawler.definition.rules import Follow, ItemField, Next, Rule, Value
from crawler.definition.schedule import Schedule, latest_due, next_due, schedule_of
from crawler.definition.schema import Definition
from crawler.definition.sinks import Sink, read_sinks

__all__ = [
    "MAX_DEFINITION_BYTES",
    "Definition",
    "Follow",
    "InvalidDefinition",
    "ItemField",
    "Next",
    "Problem",
    "Rule",
    "Schedule",
    "Sink",
    "Value",
    "doubts",
    "for_url",
    "from_data",
    "from_json",
    "json_schema",
    "latest_due",
    "load_text",
    "masked",
    "next_due",
    "override",
    "read_sinks",
    "schedule_of",
]
