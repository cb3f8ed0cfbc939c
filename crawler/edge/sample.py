"""A sample of members, out of a file: what targets are tried with where there is no registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    TypeAdapter,
    ValidationError,
)

from crawler.edge.members import Backends, Member, Pools
from crawler.edge.names import host_name
from crawler.edge.settings import Pool, Port
from crawler.errors import InvalidInput

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


def _named(text: str) -> str:
    """What a host is called, if anything."""
    if text and host_name(text) is None:
        raise ValueError("is no name of a host")
    return text


class _Member(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: _Id
    host: IPvAnyAddress
    port: Port
    draining: bool = False
    name: Annotated[str, AfterValidator(_named)] = ""


class _Pool(BaseModel):
    model_config = ConfigDict(frozen=True)

    members: tuple[_Member, ...]
    leader: str | None = None


def read_sample(file: Path, pools: Mapping[str, Pool]) -> Pools:
    """As a json target writes it: ``{"pools": {NAME: {"members": [{"id": "m1", "host": "192.0.2.1",
    "port": 8080}]}}}``, with ``draining``, ``name`` and ``leader`` where that matters; what else it
    says of them is left aside. Raises `InvalidInput` that names the field."""
    try:
        data = json.loads(file.read_bytes())
        found = TypeAdapter(dict[str, _Pool]).validate_python(data["pools"])
    except OSError as error:
        raise InvalidInput(f"--validate {file}: {error.strerror}", field="validate") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("pools", *first["loc"])))
        said = f"--validate {file}: {where}: {first['msg']}"
        raise InvalidInput(said, field="validate") from error
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        said = f'--validate {file}: expected JSON like {{"pools": {{"NAME": {{"members": []}}}}}}'
        raise InvalidInput(said, field="validate") from error
    unknown = sorted(set(found) - set(pools))
    if unknown:
        raise InvalidInput(
            f"--validate {file}: there is no pool {unknown[0]}; known are "
            f"{', '.join(sorted(pools))}",
            field="validate",
        )
    return {name: _backends(pools[name], each) for name, each in found.items()}


def _backends(pool: Pool, given: _Pool) -> Backends:
    members = (
        Member(each.id, str(each.host), each.port, each.draining, name=each.name)
        for each in given.members
    )
    ordered = tuple(sorted(members, key=lambda each: each.id))
    return Backends(pool, ordered, given.leader if pool.leader else None)
