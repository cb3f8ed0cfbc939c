"""Copies by PostgreSQL's own programs, which take a consistent snapshot while others write."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from crawler.errors import Misconfigured, StoreUnavailable
from crawler.store import statements
from crawler.store.postgres import server
from crawler.store.postgres.faults import opening

_SQL = statements.statements("postgres", "ledger")
_CHUNK = 1 << 18
# A dump leaves no search path: back to what the session began with, and on as `choose_schema` does.
_FIND_SCHEMA = f"""RESET search_path;
SELECT set_config('search_path', '{server.DEFAULT_SCHEMA}', false)
WHERE current_setting('search_path') = '"$user", public'"""


async def dump(url: str, target: Path) -> Path:
    """Write the schema of ours, with all it holds, to a new file."""
    schema = await _schema(url)
    command = [_program("pg_dump"), "--format=custom", f"--schema={schema}", "--no-owner"]
    await _run([*command, "--no-password", f"--file={target}"], url)
    return target


async def undump(file: Path, url: str) -> None:
    """Make the schema again and end all claims of before, in one transaction: whoever still holds
    one sees nothing of it or all."""
    read = [_program("pg_restore"), "--no-owner", "--file=-", str(file)]
    load = [_program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"]
    load += [f"--dbname={conninfo_to_dict(url).get('dbname') or ''}", "--file=-"]
    with tempfile.TemporaryFile() as said:
        source = await _start(read, url, stdout=PIPE, stderr=said)
        target = await _start(load, url, stdin=PIPE, stderr=said)
        try:
            await _pour(source, target)
            failed = await target.wait()
        except (BrokenPipeError, ConnectionResetError):
            failed = await target.wait()
        finally:
            for each in (source, target):
                if each.returncode is None:
                    each.kill()
                    await each.wait()
        if failed or source.returncode:
            name = "pg_restore" if source.returncode and not failed else "psql"
            said.seek(0)
            raise StoreUnavailable(f"{name} failed: {said.read().decode(errors='replace').strip()}")


async def _pour(source: Process, target: Process) -> None:
    """One transaction out of what comes from the source; it is committed only where that succeeded,
    as psql gives up what it was not told to commit."""
    assert source.stdout is not None
    assert target.stdin is not None
    target.stdin.write(b"BEGIN;\n")
    while chunk := await source.stdout.read(_CHUNK):
        target.stdin.write(chunk)
        await target.stdin.drain()
    if await source.wait() == 0:
        ends = (_FIND_SCHEMA, _SQL["retire_epochs"], _SQL["close_all_fences"], "COMMIT")
        target.stdin.write("".join(f"{each};\n" for each in ends).encode())
    target.stdin.close()


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
    process = await _start(command, url, stderr=PIPE)
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = said.decode(errors="replace").strip()
        raise StoreUnavailable(f"{Path(command[0]).name} failed: {words}")


async def _start(
    command: Sequence[str],
    url: str,
    *,
    stderr: int | IO[bytes],
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
) -> Process:
    """A program of PostgreSQL's that finds the database at ``url``."""
    environment = {**os.environ, **_environment(url)}
    return await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
    )


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
