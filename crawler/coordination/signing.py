"""Node records that only holders of the cluster's secret can write.

Whoever can write to etcd could otherwise put a node of his own into the registry and be given work,
or a leader of his own into the election and be sent the callers' tokens. The signature covers the
lease, so that a record is worth nothing under another one.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from pathlib import Path

from crawler.errors import Misconfigured
from crawler.model import Node

SIGNATURE = "signature"  # in a node's metadata
LEAST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Seal:
    """The secret. Without one nothing is signed, and everything is believed."""

    secret: bytes | None = field(default=None, repr=False)

    def sign(self, node: Node, lease: int) -> Node:
        """The node as it is to be registered under this lease."""
        if self.secret is None:
            return node
        mark = self._mark(self.secret, node, lease)
        return replace(node, metadata={**node.metadata, SIGNATURE: mark})

    def genuine(self, node: Node) -> bool:
        """Whether a holder of the secret wrote this record, for the lease that it hangs on."""
        if self.secret is None:
            return True
        given = node.metadata.get(SIGNATURE, "")
        return hmac.compare_digest(
            given.encode("utf-8", "replace"), self._mark(self.secret, node, node.lease).encode()
        )

    @staticmethod
    def _mark(secret: bytes, node: Node, lease: int) -> str:
        """HMAC-SHA256 (RFC 2104) over all that is believed of a node, each part with its length."""
        parts = [node.service, node.id, node.address, f"{lease:x}"]
        for key, value in sorted(node.metadata.items()):
            if key != SIGNATURE:
                parts += [key, value]
        message = "".join(f"{len(part)}:{part}," for part in parts)
        return hmac.new(secret, message.encode(), hashlib.sha256).hexdigest()


def read_seal(file: str | None) -> Seal:
    """The secret in a file. Raises `Misconfigured` for one that could be guessed."""
    if file is None:
        return Seal()
    try:
        secret = Path(file).read_bytes().strip()
    except OSError as error:
        raise Misconfigured(f"secret: {file}: {error.strerror}") from error
    if len(secret) < LEAST_BYTES:
        raise Misconfigured(
            f"secret: {file} holds {len(secret)} bytes; {LEAST_BYTES} or more are needed, such as "
            "`openssl rand -hex 32` writes"
        )
    return Seal(secret)
