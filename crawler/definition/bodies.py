"""What a request may be told to send: the fields of a form, or a JSON value, with placeholders."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from crawler.definition.checks import wrong
from crawler.definition.masking import MASK
from crawler.definition.secrets import names_secret
from crawler.definition.templates import compile_template, strings_of
from crawler.errors import InvalidInput

MAX_BODY_CHARS: Final = 16_384  # before its placeholders are filled


def form_value(value: Any) -> Any:
    """What a form field is sent as: numbers and truth values as people write them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, str):
        if len(value) > MAX_BODY_CHARS:
            raise wrong(f"is longer than {MAX_BODY_CHARS} characters")
        _check_written(value)
    return value


def json_value(value: Any) -> Any:
    """A table or list of what JSON knows, its strings being templates."""
    if value is None:
        return None
    if not isinstance(value, dict | list):
        raise wrong("must be a table or a list")
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise wrong("holds what JSON cannot say (a date, or an infinite number)") from error
    if size > MAX_BODY_CHARS:
        raise wrong(f"is longer than {MAX_BODY_CHARS} characters as JSON")
    for text in strings_of(value):
        _check_written(text)
        try:
            compile_template(text)
        except InvalidInput as error:
            raise wrong(str(error)) from error
    return value


def _check_written(text: str) -> None:
    if text == MASK:
        raise wrong(f"holds {MASK}, which is only how a secret is shown; write it out")
    if names_secret(text):
        raise wrong(
            "holds ${secret:NAME}, which stands in headers, cookies, auth, login and sinks only: "
            "what requests send is stored in clear"
        )
