"""What a model refused, said to people: field, line, what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from crawler.definition.access import Auth, Basic, Limit
from crawler.definition.checks import shortened, suggestion
from crawler.definition.lines import Path, line_of
from crawler.definition.login import Login
from crawler.definition.recrawl import Recrawl
from crawler.definition.rules import Change, Each, Follow, ItemField, Next, Rule, Value
from crawler.definition.schedule import Schedule
from crawler.definition.schema import ALIASES, Definition
from crawler.definition.traps import Traps
from crawler.errors import InvalidInput

MAX_TOLD: Final = 10
_MAX_SORTED: Final = 200  # of thousands, these are looked at
# Values under these may be secrets and are not repeated.
_UNTOLD: Final = frozenset({"headers", "cookies", "auth", "form", "json_body", "login"})
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be a string in quotes",
    "string_unicode": "must be text without lone surrogates",
    "string_too_long": "must be at most {max_length} characters",
    "tuple_type": "must be a list, in [ ]",
    "too_long": "holds {actual_length} entries; at most {max_length} are allowed",
    "too_short": "must hold at least one entry",
    "mapping_type": "must be a table of names and values",
    "dict_type": "must be a table of names and values",
    "model_type": "must be a table",
    "invalid_key": "must be a name",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}
_TABLES: Final = frozenset({"rules", "sinks", "auth"})
_KNOWN: Final = "; known here: "
# Their sentences already say what was given, or nothing was.
_WITHOUT_VALUE: Final = frozenset({"wrong", "missing", "too_long", "too_short"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``line`` 0: not known."""

    field: str
    line: int
    message: str

    def told(self, source: str) -> str:
        """``shop.toml:12: rules[1].next.css: …`` with the parts that are known."""
        place = f"{source}:{self.line}" if source and self.line else source
        return ": ".join(part for part in (place, self.field, self.message) if part)


class InvalidDefinition(InvalidInput):
    """A definition that is refused; ``problems`` are all that was found, in order."""

    def __init__(self, message: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(message, field=problems[0].field)
        self.problems = problems


def refusal(problems: list[Problem], source: str) -> InvalidDefinition:
    """One error for all of them: the first names the field, up to `MAX_TOLD` are told."""
    told = [problem.told(source) for problem in _briefly(problems[:MAX_TOLD])]
    if len(problems) > MAX_TOLD:
        told.append(f"and {len(problems) - MAX_TOLD} more")
    return InvalidDefinition("\n".join(told), tuple(problems))


def _briefly(problems: list[Problem]) -> list[Problem]:
    """With what is known in one place said once."""
    said: set[str] = set()
    brief = []
    for problem in problems:
        message, _, known = problem.message.partition(_KNOWN)
        brief.append(replace(problem, message=message) if known in said else problem)
        said.add(known or "-")
    return brief


def find_problems(error: ValidationError, data: object, lines: Mapping[Path, int]) -> list[Problem]:
    """Every refusal of ``error``, in the order of the text as far as lines are known."""
    details = error.errors(include_url=False)[:_MAX_SORTED]
    # A list whose entries were all refused is called too short on top of that.
    refused = {detail["loc"][:-1] for detail in details if detail["loc"]}
    problems = []
    for detail in details:
        if detail["type"] == "too_short" and detail["loc"] in refused:
            continue
        path = _written(detail["loc"], data)
        problems.append(Problem(name_of(path), line_of(path, lines), _sentence(detail, path)))
    return sorted(problems, key=lambda problem: problem.line)


def name_of(path: Path) -> str:
    """``rules[1].follow[0].css`` for its path."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if part.replace("-", "_").isidentifier() else f".{part!r}"
    return text.removeprefix(".")


def _written(loc: Path, data: object) -> Path:
    """The path as it was written: a bare string stands for css, an alias for its setting."""
    if loc and isinstance(data, Mapping) and loc[0] not in data:
        other = [alias for alias, name in ALIASES.items() if name == loc[0] and alias in data]
        loc = (*other, *loc[1:]) if other else loc
    at: Any = data
    for depth, part in enumerate(loc):
        if isinstance(at, str):
            return loc[:depth]
        if part == "json_body" and isinstance(at, Mapping) and part not in at:  # its short form
            part = "json"
            loc = (*loc[:depth], part, *loc[depth + 1 :])
        try:
            at = at[part]
        except (KeyError, IndexError, TypeError):
            break
    # pydantic names a wrong key itself with a mark behind it
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _sentence(detail: Any, path: Path) -> str:
    kind, value = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return _unknown_field(path)
    if kind == "wrong":
        return str(detail["msg"])
    sentence = _SENTENCES.get(kind, str(detail["msg"]))
    if kind == "model_type" and path[:1] == ("rules",) and len(path) > 2:
        sentence = "must be a selector in quotes or a table"
    if kind == "tuple_type" and isinstance(value, Mapping) and _TABLES.issuperset(path[-1:]):
        sentence = f"must be a list of tables: write [[{path[-1]}]]"
    told = sentence.format(**detail.get("ctx", {})) if kind in _SENTENCES else sentence
    hidden = kind in _WITHOUT_VALUE or not _UNTOLD.isdisjoint(path)
    return told if hidden else f"{told} (got {shortened(value)})"


def _unknown_field(path: Path) -> str:
    fields = _model_at(path[:-1]).model_fields
    known = [info.alias or name for name, info in fields.items()]
    hint = suggestion(str(path[-1]), [*known, *(ALIASES if len(path) == 1 else ())])
    return f"unknown field{hint}" + (f"{_KNOWN}{', '.join(known)}" if not hint else "")


def _model_at(path: Path) -> type[BaseModel]:
    """The model that describes the table at ``path``."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return Definition
    if names[0] in ("limits", "auth"):
        return Limit if names[0] == "limits" else Basic if len(names) > 1 else Auth
    if names[0] == "login":
        return Login
    if names[0] == "traps":
        return Traps
    if names[0] == "schedule":
        return Schedule
    if names[0] == "recrawl":
        return Recrawl
    if names[0] != "rules" or len(names) == 1:
        return Rule
    if names[1] == "item":
        return ItemField
    if names[1] == "follow":
        return Value if "carry" in names else Follow
    if names[1] == "next":
        return Change if "query" in names else Next
    return Each
