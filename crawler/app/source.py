"""What a user may name as a definition: a file, a bare URL, or ``-`` for standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crawler.errors import InvalidInput
from crawler.model import RESERVED_NAMES, check_name

if TYPE_CHECKING:
    from crawler.app.spiders import Loaded
    from crawler.definition import Definition

_MAX_BYTES = 4_000_000


def is_url(source: str) -> bool:
    """Whether this is a web address and not a file."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


def read_text(source: str) -> str:
    """The text of a file or of standard input; `InvalidInput` says why not."""
    try:
        if source == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InvalidInput(f"{source}: larger than {_MAX_BYTES} bytes, no definition")
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        meant = "://" in source or "." in source.partition("/")[0].strip(".")
        near = "; a URL begins with https://" if meant else ""
        raise InvalidInput(f"{source}: no such file{near}") from error
    except OSError as error:
        raise InvalidInput(f"{source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{source}: not UTF-8 (byte {error.start})") from error


def read_definition(source: str, settings: Sequence[str] = ()) -> Definition:
    """The definition that ``source`` names, with ``-s`` settings over it."""
    from crawler.definition import for_url, load_text, override

    if is_python(source):
        raise InvalidInput(
            f"{source}: code does not travel: install it on the workers, as an entry point of "
            'crawler.spiders, and name it in a definition: spider = "NAME"; `crawler run` takes it '
            "as it is"
        )
    if is_url(source):
        definition = for_url(source)
    else:
        shown = "standard input" if source == "-" else source
        definition = load_text(read_text(source), source=shown)
    return override(definition, settings) if settings else definition


def read_crawl(
    source: str, spider: str | None = None, settings: Sequence[str] = ()
) -> tuple[Definition, Loaded | None]:
    """The same for a crawl by this very process, by a spider in a Python file too; ``spider``
    chooses among several there. A definition that names a spider is the whole one, with what the
    spider says. Raises `Misconfigured` where that is not installed."""
    if is_python(source):
        from crawler.app.spiders import load_file

        with redirect_stdout(sys.stderr):  # standard output is for items
            loaded = load_file(source, spider, settings)
        return loaded.definition, loaded
    if spider is not None:
        raise InvalidInput("--spider: is for Python files; a definition names its spider itself")
    definition = read_definition(source, settings)
    if definition.spider is None:
        return definition, None
    from crawler.app.spiders import load_installed

    with redirect_stdout(sys.stderr):
        loaded = load_installed(definition)
    return loaded.definition, loaded


def is_python(source: str) -> bool:
    """Whether this is a file of Python code, by its name."""
    return source.endswith(".py") and not is_url(source)


def name_for(source: str, given: str | None) -> str:
    """The resource's name: as given, else the file's name or the URL's host."""
    if given is not None:
        return check_name(given)
    if source == "-":
        raise InvalidInput("a definition from standard input needs --name")
    text = urlsplit(source).netloc.rpartition("@")[2] if is_url(source) else Path(source).stem
    name = re.sub(r"[^\w.\-]+", "-", text).lstrip("-._")[:128]
    if name in RESERVED_NAMES or not name:
        raise InvalidInput(f"{source}: cannot be made a name; choose one with --name")
    return check_name(name)
