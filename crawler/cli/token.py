"""`crawler token`: a key to a cluster that asks callers who they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from crawler.errors import InvalidInput, Misconfigured


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="who gets it")],
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="what --tokens of the nodes names")
    ],
    role: Annotated[
        str, typer.Option("--role", metavar="read|operate", help="look only, or do everything")
    ] = "read",
    most: Annotated[
        int | None,
        typer.Option("--resources", metavar="N", min=0, help="how many crawls may be of that name"),
    ] = None,
) -> None:
    """Make a token: print it, and add its hash to a file.

    `crawler token ci --role operate --file tokens`; nodes take the file with `--tokens tokens`, and
    commands the token as CRAWLER_TOKEN.
    """
    from crawler.access import Role, line_of, new_token

    if role not in set(Role):
        raise InvalidInput(f"--role {role}: one of {', '.join(Role)}", field="role")
    made = new_token()
    line = line_of(made, name, Role(role), most)
    try:
        # Nobody else may read it: the names in it are somebody's.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(handle, "a", encoding="utf-8") as target:
            target.write(line + "\n")
            target.flush()
            os.fsync(handle)
    except OSError as error:
        raise Misconfigured(f"--file {file}: {error.strerror}") from error
    print(made)
    print(f"{name} may {role}; this is shown once only", file=sys.stderr)
