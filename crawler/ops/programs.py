"""Programs of the system that are asked to check or to do something."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from crawler.errors import Misconfigured

_LIMIT_S = 120.0
_ADMIN = "/usr/sbin:/sbin:/usr/bin"  # not on everybody's PATH
PATH = f"{os.environ.get('PATH', os.defpath)}:{_ADMIN}"


def run_program(
    *command: str, environ: Mapping[str, str] | None = None, limit_s: float = _LIMIT_S
) -> str:
    """The output; ``environ`` is added to ours.

    Raises `Misconfigured`, with the program's own words, unless it succeeds.
    """
    try:
        done = subprocess.run(  # noqa: S603 - callers name the program
            command,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env={**os.environ, **(environ or {}), "PATH": PATH},
        )
    except subprocess.TimeoutExpired as error:
        raise Misconfigured(f"{' '.join(command)} took longer than {limit_s:g} s") from error
    except OSError as error:
        raise Misconfigured(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Misconfigured(f"{' '.join(command)} failed: {said}")
    return done.stdout
