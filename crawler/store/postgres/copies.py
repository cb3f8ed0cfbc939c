"""Copies by PostgreSQL's own programs, which take a consistent snapshot while others write."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from crawler.errors import Misconfigured, StoreUnavailable
from crawler.store import statements
from crawler.store.postgres import server
from crawler.store.postgres.faults import opening

_SQL = statements.statements("postgres", "ledger")


async def dump(url: str, target: Path) -> Path:
    """Write the schema of ours, with all it holds, to a new file."""
    schema = await _schema(url)
    command = [_program("pg_dump"), "--format=custom", f"--schema={schema}", "--no-owner"]
    await _run([*command, "--no-password", f"--file={target}"], url)
    return target


async def undump(file: Path, url: str) -> None:
    """Make the schema again, in one transaction, and then retire its epochs in another."""
    command = [_program("pg_restore"), "--single-transaction", "--exit-on-error", "--no-owner"]
    database = conninfo_to_dict(url).get("dbname") or ""
    await _run([*command, "--no-password", f"--dbname={database}", str(file)], url)
    with opening():
        connection = await AsyncConnection.connect(**server.parse_url(url), autocommit=True)
        async with connection:
            await server.choose_schema(connection)
            await connection.execute(_SQL["retire_epochs"].encode())


async def _schema(url: str) -> str:
    """Where our tables stand."""
    with opening():
        connection = await AsyncConnection.connect(**server.parse_url(url), autocommit=True)
        async with connection:
            await server.choose_schema(connection)
            row = await (await connection.execute("SELECT current_schema()")).fetchone()
    assert row is not None
    return str(row[0])


async def _run(command: list[str], url: str) -> None:
    """Run a program of PostgreSQL's on the database at ``url``."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **_environment(url)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = said.decode(errors="replace").strip()
        raise StoreUnavailable(f"{Path(command[0]).name} failed: {words}")


def _environment(url: str) -> dict[str, str]:
    """The URL as libpq's variables: a password on a command line could be read by everybody."""
    variables = {each.keyword: each.envvar for each in Conninfo.get_defaults()}
    found = {}
    for keyword, value in conninfo_to_dict(url).items():
        variable = variables.get(keyword.encode())
        if variable is not None and value is not None:
            found[variable.decode()] = str(value)
    return found


def _program(name: str) -> str:
    """The newest that is installed: it reads the databases of older servers, not the other way."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda each: _major(each))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        raise Misconfigured(f"{name} is missing: apt-get install postgresql-client")
    return path


def _major(path: Path) -> int:
    version = path.parents[1].name
    return int(version) if version.isdecimal() else 0
