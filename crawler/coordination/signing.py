"""Node records that only holders of the cluster's secret can write.

Whoever can write to etcd could otherwise put a node of his own into the registry and be given work,
or a leader of his own into the election and be sent the callers' tokens. The signature covers the
lease, so that a record is worth nothing under another one.

The file may hold several secrets, one a line: a node signs with each of them, and believes what is
signed with any. So a secret is replaced file by file, in any order, while everything runs: first
the new one is added to every node's file; then, once every record is signed with it (UpdateSecret
tells), the old one is taken out of each. No secret is in etcd, nor anything that chooses one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import structlog

from crawler.clock import Clock
from crawler.errors import Misconfigured
from crawler.model import Node

log = structlog.get_logger(__name__)

SIGNATURE = "signature"  # in a node's metadata: one mark per secret, with commas between
LEAST_BYTES = 16
MOST_SECRETS = 4
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Seal:
    """The secret, and the ``others`` that go for it meanwhile. Without one nothing is signed, and
    everything is believed."""

    secret: bytes | None = field(default=None, repr=False)
    others: tuple[bytes, ...] = field(default=(), repr=False)

    def sign(self, node: Node, lease: int) -> Node:
        """The node as it is to be registered under this lease."""
        if self.secret is None:
            return node
        marks = (_mark(secret, node, lease) for secret in self._all)
        return replace(node, metadata={**node.metadata, SIGNATURE: ",".join(marks)})

    def genuine(self, node: Node) -> bool:
        """Whether a holder of the secret wrote this record, for the lease that it hangs on."""
        return self.secret is None or any(_bears(node, secret) for secret in self._all)

    def newest(self, node: Node) -> bool:
        """Whether it is signed with the first secret, whatever else it is signed with."""
        return self.secret is None or _bears(node, self.secret)

    def stamp(self, message: str) -> str:
        """A mark of this message, by which holders of the secret know it; "" without a secret. No
        record of a node reads like a message that begins with a letter."""
        return "" if self.secret is None else _mac(self.secret, message)

    def stamped(self, message: str, mark: str) -> bool:
        """Whether a holder of one of the secrets marked this message."""
        given = mark.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(given, _mac(secret, message).encode()) for secret in self._all
        )

    def knows(self, secret: str) -> bool:
        """Whether that is one of the secrets; compared in constant time."""
        given = secret.encode("utf-8", "replace")
        return any(hmac.compare_digest(given, each) for each in self._all)

    @property
    def _all(self) -> tuple[bytes, ...]:
        return () if self.secret is None else (self.secret, *self.others)


def _bears(node: Node, secret: bytes) -> bool:
    given = node.metadata.get(SIGNATURE, "").encode("utf-8", "replace").split(b",")
    wanted = _mark(secret, node, node.lease).encode()
    return any(hmac.compare_digest(each, wanted) for each in given[:MOST_SECRETS])


def _mark(secret: bytes, node: Node, lease: int) -> str:
    """HMAC-SHA256 (RFC 2104) over all that is believed of a node, each part with its length."""
    parts = [node.service, node.id, node.address, f"{lease:x}"]
    for key, value in sorted(node.metadata.items()):
        if key != SIGNATURE:
            parts += [key, value]
    return _mac(secret, "".join(f"{len(part)}:{part}," for part in parts))


def _mac(secret: bytes, message: str) -> str:
    return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()


def read_seal(file: str | None) -> Seal:
    """The secrets in a file, the newest first. Raises `Misconfigured` for one that could be
    guessed."""
    if file is None:
        return Seal()
    try:
        secrets = Path(file).read_bytes().strip().splitlines()
    except OSError as error:
        raise Misconfigured(f"secret: {file}: {error.strerror}") from error
    secrets = [each.strip() for each in secrets if each.strip()] or [b""]
    shortest = min(map(len, secrets))
    if shortest < LEAST_BYTES:
        raise Misconfigured(
            f"secret: {file} holds {shortest} bytes; {LEAST_BYTES} or more are needed, such as "
            "`openssl rand -hex 32` writes"
        )
    if len(secrets) > MOST_SECRETS:
        raise Misconfigured(
            f"secret: {file} holds {len(secrets)} secrets; keep {MOST_SECRETS} at most, the newest "
            "first"
        )
    return Seal(secrets[0], tuple(secrets[1:]))


class Keyring:
    """The secrets of a file that may change while we run; one that cannot be read changes
    nothing. Raises `Misconfigured` where the file is none from the beginning."""

    def __init__(self, file: str | None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._seen = self._look()
        self._news = asyncio.Event()
        self._believers: list[Callable[[Seal], None]] = []
        self.seal = read_seal(file)

    def tell(self, believer: Callable[[Seal], None]) -> None:
        """Call ``believer`` with every new seal, before anything is signed with it."""
        self._believers.append(believer)

    async def changed(self, since: Seal) -> Seal:
        """The seal, as soon as it is another than ``since``."""
        while self.seal == since:
            await self._news.wait()
        return self.seal

    def renew(self) -> None:
        """Read the file now. Raises `Misconfigured`, and then the old secrets stay."""
        self._seen = self._look()
        seal = read_seal(self._file)
        if seal == self.seal:
            return
        self.seal = seal
        log.info("secrets renewed", secrets=1 + len(seal.others))
        for believer in self._believers:
            believer(seal)
        self._news.set()
        self._news = asyncio.Event()

    async def run(self) -> NoReturn:
        """Read the file again whenever it changed."""
        while True:
            await self._clock.sleep(LOOK_AGAIN_S)
            if self._look() == self._seen:
                continue
            try:
                self.renew()
            except Misconfigured as error:
                log.error("secrets not renewed", error=str(error))

    def _look(self) -> tuple[int, ...]:
        if self._file is None:
            return ()
        try:
            seen = os.stat(self._file)
        except OSError:
            return ()
        # Not when it was written: one that we may not read at first is given to us afterwards.
        return seen.st_ctime_ns, seen.st_size, seen.st_ino
