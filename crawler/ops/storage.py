"""What is to be thought of a store, by what a look at it said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crawler.ops.clocks import judge_clock
from crawler.ops.findings import Finding, failure, fine, warning

MIB = 1024**2
NO_DISK_BYTES, LITTLE_DISK_BYTES = 100 * MIB, 1024 * MIB
LONG_LOG_BYTES = 256 * MIB
FULL_SHARE, TIGHT_SHARE = 0.95, 0.8  # of the server's connections


def judge_store(facts: Mapping[str, Any], now: float) -> list[Finding]:
    """``facts`` as the store room's look names them; ``now`` in Unix seconds."""
    about = _judge_file(facts) if facts["backend"] == "sqlite" else _judge_server(facts, now)
    return [*about, *_judge_schema(facts)]


def _judge_schema(facts: Mapping[str, Any]) -> list[Finding]:
    if facts["id"] is None:
        return [warning("store", "it holds no tables of ours yet", "the first node makes them")]
    if facts["schema"] > facts["newest"]:
        said = f"schema {facts['schema']}, this program knows {facts['newest']}"
        if facts["since"] > facts["newest"]:
            return [failure("store", said, "use the newer program")]
        return [warning("store", f"{said} and can use it", "finish the upgrade")]
    if facts["schema"] < facts["newest"]:
        said = f"schema {facts['schema']}, newest {facts['newest']}"
        return [warning("store", said, "the next node that starts brings it forward")]
    return []


def _judge_file(facts: Mapping[str, Any]) -> list[Finding]:
    said = f"SQLite {facts['version']}, {facts['size_bytes'] / MIB:,.1f} MiB"
    found = [fine("store", said)]
    if facts["id"] is not None and facts["journal"] != "wal":
        text = f"its journal mode is {facts['journal']}: readers wait for writers"
        found.append(warning("store", text, "the next node that starts sets it"))
    if facts["log_bytes"] >= LONG_LOG_BYTES:
        text = f"its log has grown to {facts['log_bytes'] / MIB:,.0f} MiB"
        found.append(warning("store", text, "find who reads it for long: a backup, a shell?"))
    return [*found, *_judge_disk(facts["disk_free_bytes"])]


def _judge_disk(free: int) -> list[Finding]:
    said, advice = f"{free / MIB:,.0f} MiB of disk are free", "free some, or move the store"
    if free < NO_DISK_BYTES:
        return [failure("store", said, advice)]
    return [warning("store", said, advice)] if free < LITTLE_DISK_BYTES else [fine("store", said)]


def _judge_server(facts: Mapping[str, Any], now: float) -> list[Finding]:
    said = f"PostgreSQL {facts['version']}, {facts['size_bytes'] / MIB:,.1f} MiB"
    found = [fine("store", said)]
    if facts["major"] < facts["oldest_major"]:
        advice = f"upgrade to {facts['oldest_major']} or newer"
        found = [failure("store", f"PostgreSQL {facts['version']} is too old", advice)]
    if facts["standby"]:
        advice = "name the primary with --store"
        found.append(failure("store", "it is a standby and takes no writes", advice))
    if facts["encoding"] != "UTF8":
        text = f"its encoding is {facts['encoding']}"
        found.append(failure("store", text, "make the database anew with createdb -E UTF8"))
    found += _judge_durability(facts)
    found.append(_judge_connections(facts["connections"], facts["max_connections"]))
    return [*found, judge_clock("store", facts["now"] - now, 0.5)]


def _judge_durability(facts: Mapping[str, Any]) -> list[Finding]:
    found = []
    if facts["synchronous_commit"] == "off":
        text = "synchronous_commit is off: acknowledged pages can be lost, and nodes refuse it"
        advice = "ALTER DATABASE … SET synchronous_commit = on"
        found.append(failure("store", text, advice))
    for name in ("fsync", "full_page_writes"):
        if not facts[name]:
            text = f"{name} is off: a crash of its machine can destroy the database"
            found.append(warning("store", text, f"set {name} = on in postgresql.conf"))
    return found


def _judge_connections(used: int, most: int) -> Finding:
    said = f"{used} of {most} connections are in use"
    advice = "raise max_connections: a process of ours takes up to 4"
    if used >= most * FULL_SHARE:
        return failure("store", said, advice)
    return warning("store", said, advice) if used >= most * TIGHT_SHARE else fine("store", said)
