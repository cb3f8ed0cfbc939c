"""Files for other programs: all pools as JSON, or as a template of the user's says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crawler.edge.commands import run_command
from crawler.edge.members import Pools
from crawler.edge.settings import JsonTarget, TemplateTarget
from crawler.edge.target import Applied, Live
from crawler.errors import Misconfigured, OutOfStep


class Document:
    """A `Balancer` that nobody can be asked about: what its commands say is believed."""

    def __init__(
        self,
        render: Callable[[Pools], bytes],
        reload: Sequence[str],
        check: Sequence[str] = (),
        timeout_s: float = 10.0,
    ) -> None:
        self._render = render
        self._reload = reload
        self._check = check
        self._timeout_s = timeout_s

    def render(self, pools: Pools) -> bytes:
        return self._render(pools)

    async def check(self, staged: Path) -> None:
        if self._check:
            words = [each.replace("{file}", str(staged)) for each in self._check]
            await run_command(words, self._timeout_s)

    async def take(self, content: bytes) -> Applied:
        del content
        if not self._reload:
            return Applied.ADJUSTED
        await run_command(self._reload, self._timeout_s)
        return Applied.RELOADED

    async def state(self, content: bytes) -> Live:
        del content
        return Live.UNKNOWN

    async def tidy(self) -> float | None:
        return None


def as_data(pools: Pools) -> dict[str, Any]:
    """All pools as plain values, in an order that does not vary."""
    return {
        name: {
            "mode": pools[name].pool.mode,
            "leader": pools[name].leader,
            "members": [
                {
                    "id": each.id,
                    "host": each.host,
                    "name": each.name,
                    "port": each.port,
                    "address": each.address,
                    "draining": each.draining,
                }
                for each in pools[name].members
            ],
        }
        for name in sorted(pools)
    }


def json_document(settings: JsonTarget) -> Document:
    """A JSON file."""

    def render(pools: Pools) -> bytes:
        return (json.dumps({"pools": as_data(pools)}, indent=2) + "\n").encode()

    return Document(render, settings.reload, timeout_s=settings.timeout_s)


def template_document(settings: TemplateTarget) -> Document:
    """A Jinja2 template, read anew every time, in its sandbox. It sees ``pools`` by name, each with
    ``mode``, ``leader`` and ``members``. Raises `Misconfigured` where Jinja2 is missing."""
    try:
        from jinja2 import StrictUndefined, TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise Misconfigured(
            "templates need Jinja2: pip install 'crawler-cluster[edge]', or jinja2"
        ) from error
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,  # a name that is not there is an error, never a blank
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["json"] = lambda value: json.dumps(value, sort_keys=True)
    environment.filters["split"] = lambda text, mark=None: text.split(mark)

    def render(pools: Pools) -> bytes:
        try:
            text = settings.template.read_text("utf-8")
            return environment.from_string(text).render(pools=as_data(pools)).encode()
        except OSError as error:
            raise OutOfStep(f"template {settings.template}: {error.strerror}") from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            line = getattr(error, "lineno", None)
            where = f", line {line}" if line else ""
            raise OutOfStep(f"template {settings.template}{where}: {error}") from error

    return Document(render, settings.reload, settings.check, settings.timeout_s)
