"""JMESPath compiled once, with a bound on what an evaluation can cost, whatever the page holds.

The library evaluates in Python and knows no limits, so these are ours: how long and how deep an
expression is, how often its result may repeat one value (`[@, @] | [@, @] | …` doubles with every
step), how long a joined text gets, how many results are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jmespath
from jmespath import functions, visitor
from jmespath.exceptions import JMESPathError, JMESPathTypeError, LexerError, ParseError

from crawler.definition.checks import shortened
from crawler.definition.selectors import MAX_FOUND, check_length
from crawler.errors import InvalidInput

MAX_NESTING: Final = 64
MAX_COPIES: Final = 64
MAX_JOINED: Final = 10_000_000  # characters
_FAILURES: Final = (
    JMESPathError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    TypeError,
    ValueError,
)
_ADDING: Final = frozenset(
    {"multi_select_list", "multi_select_dict", "or_expression", "and_expression", "comparator"}
)

Node = Mapping[str, Any]  # a parsed expression, as the library has it


class _Functions(functions.Functions):  # type: ignore[misc]
    """The library's functions, of which one alone makes more of what it is given."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, texts: Sequence[str]) -> str:
        if len(separator) * len(texts) + sum(map(len, texts)) > MAX_JOINED:
            raise ValueError(f"join() would make more than {MAX_JOINED} characters")
        return separator.join(texts)


_OPTIONS: Final = visitor.Options(custom_functions=_Functions())


@dataclass(frozen=True, slots=True)
class JsonSelector:
    """A compiled expression."""

    text: str
    evaluate: Callable[[Any], Any]

    def find(self, value: Any) -> list[Any]:
        """What it finds in a JSON value: the entries of a list one by one, anything else as one;
        nulls are nothing. At most `MAX_FOUND`; `ValueError` if it cannot be evaluated.

        The values are those of the page, not copies.
        """
        try:
            result = self.evaluate(value)
        except _FAILURES as error:
            raise ValueError(_reason(error)) from error
        if isinstance(result, list):
            return [entry for entry in result if entry is not None][:MAX_FOUND]
        return [] if result is None else [result]


def compile_json(text: str) -> JsonSelector:
    """Compile, or raise `InvalidInput` that says what is wrong with ``text``."""
    check_length(text)
    try:
        node: Node = jmespath.compile(text).parsed
    except RecursionError as error:
        raise _refusal(text, "it is nested too deeply") from error
    except (JMESPathError, ValueError) as error:
        raise _refusal(text, _syntax(error)) from error
    _check(text, node)
    interpreter = visitor.TreeInterpreter(_OPTIONS)

    def evaluate(value: Any) -> Any:
        return interpreter.visit(node, value)

    return JsonSelector(text, evaluate)


def _check(text: str, root: Node) -> None:
    """Refuse what would fail on every page, or cost too much on some."""
    waiting: list[tuple[Node, int]] = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_NESTING:
            raise _refusal(text, "it is nested too deeply")
        if node["type"] == "function_expression":
            _check_call(text, node)
        elif any(child["type"] == "expref" for child in _children(node)):
            raise _refusal(text, "&… belongs into a call, like sort_by(@, &name)")
        waiting += [(child, depth + 1) for child in _children(node)]
    if root["type"] == "expref":
        raise _refusal(text, "&… belongs into a call, like sort_by(@, &name)")
    copies = _copies(root)
    if copies > MAX_COPIES:
        raise _refusal(
            text,
            f"its result could hold one value {copies} times, and {MAX_COPIES} is the most; "
            "select less at once",
        )


def _check_call(text: str, node: Node) -> None:
    name, arguments = node["value"], _children(node)
    known = _Functions.FUNCTION_TABLE
    if name not in known:
        raise _refusal(text, f"there is no function {name}(); there is {', '.join(sorted(known))}")
    signature = known[name]["signature"]
    variadic = bool(signature and signature[-1].get("variadic"))
    if len(arguments) < len(signature) or (len(arguments) > len(signature) and not variadic):
        raise _refusal(
            text,
            f"{name}() takes {'at least ' * variadic}{len(signature)} "
            f"argument{'s' * (len(signature) != 1)}, not {len(arguments)}",
        )
    for at, argument in enumerate(arguments):
        wanted = signature[min(at, len(signature) - 1)]["types"]
        if (argument["type"] == "expref") != ("expref" in wanted):
            way = "a path after &" if "expref" in wanted else "no path after &"
            raise _refusal(text, f"{name}() takes {way} at place {at + 1}")


def _copies(node: Node) -> int:
    """How often one value of the page may occur in the result at most."""
    kind, children = node["type"], _children(node)
    counts = [_copies(child) for child in children]
    if kind in _ADDING:
        return max(1, sum(counts))
    if kind == "function_expression":
        paths = [count for count, child in zip(counts, children, strict=True) if _is_path(child)]
        plain = [
            count for count, child in zip(counts, children, strict=True) if not _is_path(child)
        ]
        return max(1, sum(plain)) * math.prod(paths)
    if kind == "filter_projection":  # what it filters by is worked out, but not in the result
        return counts[0] * max(counts[1:])
    return math.prod(counts)


def _is_path(node: Node) -> bool:
    return bool(node["type"] == "expref")


def _children(node: Node) -> Sequence[Node]:
    """The expressions below; a slice has numbers there."""
    return () if node["type"] == "slice" else node["children"]


def _syntax(error: Exception) -> str:
    if isinstance(error, LexerError):
        return f"{error.message} (at character {error.lexer_position + 1})"
    if isinstance(error, ParseError) and error.token_value is not None:
        return f"unexpected {error.token_value!r} (at character {error.lex_position + 1})"
    return "it ends too soon"


def _reason(error: Exception) -> str:
    """In words; never the value itself, which may be a whole page."""
    if isinstance(error, JMESPathTypeError):
        wanted = " or ".join(map(str, error.expected_types))
        return f"{error.function_name}() takes {wanted}, not {error.actual_type}"
    if isinstance(error, RecursionError):
        return "the value is nested too deeply"
    return str(error)[:200] if isinstance(error, ValueError) else type(error).__name__


def _refusal(text: str, reason: str) -> InvalidInput:
    return InvalidInput(f"{shortened(text)} cannot be used as JMESPath: {reason}")
