"""What stands for a secret in a definition, ``${secret:NAME}``, and what takes its place.

A definition travels through API, etcd and store with the name alone. The value is known to workers,
each with the domains that it may be sent to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from crawler.errors import Misconfigured

PLAIN_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_REFERENCE: Final = re.compile(rf"\$\{{secret:({PLAIN_NAME})\}}")


@dataclass(frozen=True, slots=True)
class Secret:
    """``domains``: host names, each with its subdomains, that the value may be sent to."""

    value: str = field(repr=False)
    domains: tuple[str, ...]


def names_secret(text: str) -> bool:
    """Whether the text holds a reference to a secret."""
    return _REFERENCE.search(text) is not None


def is_reference(text: str) -> bool:
    """Whether the text is a reference to a secret and nothing else."""
    return _REFERENCE.fullmatch(text) is not None


def is_well_formed(text: str) -> bool:
    """Whether whatever looks like a reference in the text is one."""
    return "${" not in _REFERENCE.sub("", text)


def within(host: str, domain: str) -> bool:
    """Whether ``host`` is the domain or below it."""
    return host == domain or host.endswith(f".{domain}")


def fill(text: str, secrets: Mapping[str, Secret], domains: Collection[str], field: str) -> str:
    """The text as it is sent to ``domains``. Raises `Misconfigured`, naming the field of the
    definition and what is missing, never a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        secret = secrets.get(name)
        if secret is None:
            raise Misconfigured(
                f"{field}: this worker has no secret {name}; add it to [secrets] in its settings"
            )
        for domain in domains:
            if not any(within(domain, each) for each in secret.domains):
                raise Misconfigured(
                    f"{field}: the secret {name} may not be sent to {domain}, only to "
                    f"{', '.join(secret.domains)}; see [secrets] in the worker's settings"
                )
        return secret.value

    return _REFERENCE.sub(value, text)


def read_secrets(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Secret]:
    """From ``{name: {value, domains}}``, as settings have them."""
    return {name: Secret(entry["value"], tuple(entry["domains"])) for name, entry in table.items()}
