"""Reads what is to be balanced, and by whom, out of the tables of ``[edge]``, and sees that it fits
together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from crawler.config import EdgeConfig
from crawler.edge.settings import DEFAULT_POOLS, AnyTarget, Name, Pace, Pool
from crawler.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is balanced, and by whom, read and checked."""

    pools: Mapping[str, Pool]
    targets: Mapping[str, AnyTarget]
    pace: Pace


def read_plan(config: EdgeConfig, only: tuple[str, ...] = (), *, allow_empty: bool = False) -> Plan:
    """The tables of the configuration. Raises `InvalidInput` that names the field."""
    pools = read_pools(config.pools)
    if allow_empty:
        pools = {n: each.model_copy(update={"allow_empty": True}) for n, each in pools.items()}
    return Plan(pools, read_targets(config.targets, pools, only), read_pace(config.pace))


def read_pools(tables: Mapping[str, Any]) -> dict[str, Pool]:
    """``[edge.pools.NAME]``; see `DEFAULT_POOLS`. Raises `InvalidInput` that names the field."""
    pools = _read("pools", TypeAdapter(dict[Name, Pool]), tables)
    return pools or DEFAULT_POOLS


def read_targets(
    tables: Mapping[str, Any], pools: Mapping[str, Pool], only: tuple[str, ...] = ()
) -> dict[str, AnyTarget]:
    """``[edge.targets.NAME]``, ``only`` of these names. Raises `InvalidInput`."""
    targets = _read("targets", TypeAdapter(dict[Name, AnyTarget]), tables)
    if not targets:
        raise InvalidInput(
            "edge: there is no target; name one in [edge.targets.NAME] of the file of --config, "
            "such as `crawler install nginx --to DIR` writes",
            field="targets",
        )
    for name, target in targets.items():
        for pool in set(target.pools) - set(pools):
            raise InvalidInput(
                f"edge.targets.{name}.pools: there is no pool {pool}; known are "
                f"{', '.join(sorted(pools))}",
                field=f"targets.{name}.pools",
            )
        streams = [n for n in target.pools or pools if pools[n].mode == "tcp"]
        if streams and target.kind == "nginx":
            raise InvalidInput(
                f"edge.targets.{name}.pools: {streams[0]} is of mode tcp, which haproxy has and "
                "the edge's nginx has not; name the others here",
                field=f"targets.{name}.pools",
            )
    _need_own(targets)
    for name in only:
        if name not in targets:
            raise InvalidInput(
                f"--target {name}: there is none; known are {', '.join(sorted(targets))}",
                field="target",
            )
    return {name: each for name, each in targets.items() if not only or name in only}


def read_pace(table: Mapping[str, Any]) -> Pace:
    """``[edge.pace]``. Raises `InvalidInput`."""
    return _read("pace", TypeAdapter(Pace), table)


def _need_own(targets: Mapping[str, AnyTarget]) -> None:
    """What no two of them may share."""
    seen: dict[object, str] = {}
    for name, target in targets.items():
        for field in ("file", "generation"):
            value = getattr(target, field, None)
            other = seen.setdefault(value, name) if value is not None else name
            if other != name:
                raise InvalidInput(
                    f"edge.targets.{name}.{field}: {value} is that of {other}; give each its own",
                    field=f"targets.{name}.{field}",
                )


def _read(table: str, shape: TypeAdapter[T], given: Mapping[str, Any]) -> T:
    try:
        return shape.validate_python(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [str(each) for each in first["loc"] if str(each) not in _KINDS and each != "[key]"]
        field = ".".join([table, *where])
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"edge.{field}: {said}", field=field) from error


_KINDS = frozenset({"nginx", "haproxy", "keepalived", "json", "template"})
