"""The S3 sink against a real server: ``python -m tests.bench.bucket http://127.0.0.1:9000``.

Which server, is up to who runs it; the keys are taken from ``AWS_ACCESS_KEY_ID`` and
``AWS_SECRET_ACCESS_KEY``. It makes a bucket of its own, and leaves nothing behind. Looked at are
the keys of objects that are hard to sign, what the server says of each kind of refusal, and a
worker that is killed again and again between an object and the note of it. Exits with 1 where
something is not as the README promises.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from crawler.app.kept import kept_items
from crawler.config import sqlite_url
from crawler.definition import Sink
from crawler.definition.secrets import Secret
from crawler.delivery.post import open_post
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed
from crawler.local.site import serve_shop
from tests.integration.app.alone import run_alone, write_shop

COUNT = 120
BATCH = 3
KILLS = 4
OBJECTS = 6  # that a worker stores before it is killed
LIMIT_S = 120.0
LOOK_S = 0.1
LOOPBACK = "127.0.0.0/8"
PREFIXES = ("", "/täglich/v=1/", "/a%20b+c/(x)!*'@&,;:$")
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
RESOURCES = ("shop", "магазин.1_-x")


class Clock:
    """The machine's clock, wrong by so many seconds."""

    def __init__(self, wrong_by_s: float) -> None:
        self._wrong_by_s = wrong_by_s

    def elapsed(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time() + self._wrong_by_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Bucket:
    """A bucket of the server, as the SDK of AWS sees it."""

    def __init__(self, server: str, region: str) -> None:
        self.server = server
        self.region = region
        self.name = f"crawler-{uuid.uuid4().hex[:12]}"
        self._client: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=server,
            region_name=region,
            config=Config(s3={"addressing_style": "path"}),
        )

    @contextmanager
    def made(self) -> Iterator[None]:
        self._client.create_bucket(Bucket=self.name)
        try:
            yield
        finally:
            for key in self.listed():
                self._client.delete_object(Bucket=self.name, Key=key)
            self._client.delete_bucket(Bucket=self.name)

    def listed(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def sink(self, path: str | None = None, **changed: str) -> dict[str, str]:
        """A definition's sink into the bucket, or where else ``path`` leads."""
        return {
            "name": "bucket",
            "kind": "s3",
            "url": self.server + (f"/{self.name}" if path is None else path),
            "region": self.region,
            "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": "${secret:bucket}",
            **changed,
        }


async def check_keys(bucket: Bucket) -> list[str]:
    """Whether objects arrive under any name; what is wrong."""
    lines, wrong = (b'{"a":1}\n', '{"a":"бук"}\n'.encode()), []
    for at, prefix in enumerate(PREFIXES):
        for resource in RESOURCES:
            parcel = Parcel(f"217-{at}", resource, lines)
            said = await told(bucket.sink(f"/{bucket.name}{prefix}"), parcel)
            print(f"  put below {prefix or '/'} for {resource}: {said}")
            wrong += [f"{prefix}: {said}"] if said != "stored" else []
    keys = bucket.listed()
    if len(keys) != len(PREFIXES) * len(RESOURCES) or {bucket.read(each) for each in keys} != {
        b"".join(lines)
    }:
        wrong.append(f"there are {keys}")
    return wrong


async def check_refusals(bucket: Bucket) -> list[str]:
    """Whether each kind is told by the server's word for it, and is left alone or tried again."""
    parcel = Parcel("217", "refused", (b"{}\n",))
    cases: Sequence[tuple[str, dict[str, str], float, bool]] = (
        ("a wrong secret", bucket.sink(secret_access_key="${secret:wrong}"), 0.0, True),
        ("an unknown access key", bucket.sink(access_key_id="nobody"), 0.0, True),
        ("a missing bucket", bucket.sink(f"/{bucket.name}-2"), 0.0, True),
        ("a clock an hour ahead", bucket.sink(), 3_600.0, False),
        ("a clock an hour behind", bucket.sink(), -3_600.0, False),
    )
    wrong = []
    for what, sink, wrong_by_s, refused in cases:
        said = await told(sink, parcel, wrong_by_s)
        print(f"  {what}: {said}")
        if not said.endswith("left alone" if refused else "tried again") or ": " not in said:
            wrong.append(f"{what}: {said}")
    return wrong


async def told(sink: dict[str, str], parcel: Parcel, wrong_by_s: float = 0.0) -> str:
    """What becomes of a parcel."""
    key = os.environ["AWS_SECRET_ACCESS_KEY"]
    host = ("127.0.0.1", "localhost")
    secrets = {"bucket": Secret(key, host), "wrong": Secret("wrong", host)}
    async with open_post([LOOPBACK], None, secrets=secrets, clock=Clock(wrong_by_s)) as post:
        try:
            await post.send(Sink.model_validate(sink), parcel)
        except DeliveryFailed as failed:
            return f"{failed}; {'left alone' if failed.refused else 'tried again'}"
    return "stored"


async def check_kills(bucket: Bucket, home: Path) -> list[str]:
    """Whether all items of a crawl arrive although its worker is killed again and again."""
    config = home / "worker.toml"
    config.write_text(
        "[worker.secrets.bucket]\n"
        f"value = {json.dumps(os.environ['AWS_SECRET_ACCESS_KEY'])}\n"
        'domains = ["127.0.0.1", "localhost"]\n'
    )
    config.chmod(0o600)
    database = home / "crawl.db"
    async with serve_shop(0, home / "access.jsonl", COUNT) as site:
        sinks = [{**bucket.sink(f"/{bucket.name}/killed"), "batch": BATCH}]
        shop = write_shop(home / "shop.json", site, download_delay=0.02, sinks=sinks)
        os.environ["CRAWLER_FAILPOINTS"] = f"delivery.sent=kill@{OBJECTS}"
        for _ in range(KILLS):
            async with run_alone(database, [shop], f"--config={config}") as worker:
                await worker.process.communicate()
                assert worker.process.returncode == -signal.SIGKILL
        del os.environ["CRAWLER_FAILPOINTS"]
        async with run_alone(database, [shop], f"--config={config}") as worker:
            await arrived(bucket, COUNT)
            await worker.stop()
    found = received(bucket)
    stored = [item.url async for item in kept_items(sqlite_url(database), "shop")]
    print(f"  {KILLS} kills: {len(stored)} items stored, {len(found)} in the bucket")
    return [] if sorted(found.values()) == sorted(stored) else ["items are missing"]


async def arrived(bucket: Bucket, count: int) -> None:
    """Until so many different items are in the bucket."""
    async with asyncio.timeout(LIMIT_S):
        while len(await asyncio.to_thread(received, bucket)) < count:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)  # nobody tells when an object comes


def received(bucket: Bucket) -> dict[str, str]:
    """The pages of the items in the bucket, by ``_id``."""
    bodies = [bucket.read(key) for key in bucket.listed() if key.startswith("killed/")]
    items = [json.loads(line) for body in bodies for line in body.splitlines()]
    return {each["_id"]: each["_url"] for each in items}


async def check(bucket: Bucket) -> list[str]:
    with bucket.made(), tempfile.TemporaryDirectory() as home:
        return [
            *await check_keys(bucket),
            *await check_refusals(bucket),
            *await check_kills(bucket, Path(home)),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("server", metavar="URL", help="of a server on this machine's loopback")
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args()
    if KEYS - os.environ.keys():
        parser.error(f"set {' and '.join(sorted(KEYS))} to keys that may make buckets")
    wrong = asyncio.run(check(Bucket(options.server, options.region)))
    print("\n".join(f"wrong: {each}" for each in wrong) or "as promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
