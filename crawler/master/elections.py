"""Elections on request, and who has the cluster's secret."""

from __future__ import annotations

import asyncio

from crawler.access import STRANGER, Role, asking
from crawler.clock import Clock
from crawler.coordination.keys import NODES
from crawler.coordination.registry import node_id, parse_node
from crawler.coordination.signing import Keyring
from crawler.errors import (
    Conflict,
    CrawlerError,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Unauthenticated,
    Unavailable,
)
from crawler.master.heartbeats import find_node, fits
from crawler.master.leader import Leader
from crawler.master.master import Master
from crawler.master.service import Router
from crawler.model import MASTER_SERVICE, Node
from crawler.rpc.calls import Channels, NodeCalls
from crawler.rpc.incoming import Context, remaining_s
from crawler.rpc.pb.communicate_pb2 import Node as NodeRequest
from crawler.rpc.pb.communicate_pb2 import OptResult, Secret
from crawler.rpc.pb.communicate_pb2_grpc import ElectionsServicer

ASK_S = 1.0
HAND_OVER_S = 2.0
LEAST_TERM_S = 3.0  # a call that comes twice ends one term and not two
SIGN_S = 3.0  # nodes look at their files every second
LOOK_S = 0.2


class Elections(ElectionsServicer):
    """Each call needs a token that may operate; two of them take the secret instead."""

    def __init__(
        self, router: Router, master: Master, channels: Channels, keyring: Keyring, clock: Clock
    ) -> None:
        self._router = router
        self._master = master
        self._channels = channels
        self._keyring = keyring
        self._clock = clock

    async def RequestElection(self, request: Secret, context: Context) -> OptResult:  # noqa: N802
        self._admit(request.sec_code, "sec_code")
        return await self._router.carry_out(
            context,
            self._hand_over,
            lambda calls, s: calls.request_election(request, timeout_s=s),
            ends_term=True,
        )

    async def VerifyNode(self, request: NodeRequest, context: Context) -> OptResult:  # noqa: N802
        del context
        self._need_secret()
        node = await find_node(self._master.etcd, request.name)
        right = self._keyring.seal.genuine(node) and fits(node, request)
        return OptResult(succeed={node.id: right})

    async def UpdateSecret(self, request: NodeRequest, context: Context) -> OptResult:  # noqa: N802
        trouble = self._renewed()  # before the token is looked at: it may be the new secret
        self._admit(request.token, "token")
        self._need_secret()
        if trouble is not None:
            raise Conflict(f"{trouble}; what was good before still is here")
        until = self._clock.elapsed() + remaining_s(context, SIGN_S + ASK_S) - ASK_S
        while True:
            signed = {
                each.id: self._keyring.seal.newest(each) for each in await self._asked(request)
            }
            if all(signed.values()) or self._clock.elapsed() >= until:
                return OptResult(succeed=signed)
            await self._clock.sleep(LOOK_S)

    def _admit(self, secret: str, field: str) -> None:
        """Raise `Refused` or `Unauthenticated` unless the caller may operate, or has the secret; a
        wrong one is of no use to anybody."""
        if secret:
            if not self._keyring.seal.knows(secret):
                raise Refused(f"{field}: that is not the secret of this cluster")
        elif asking.get().role is not Role.OPERATE:
            kind = Unauthenticated if asking.get() is STRANGER else Refused
            raise kind(f"{field}: the cluster's secret is needed, or a token that may operate")

    def _renewed(self) -> Misconfigured | None:
        """Look at the file; what is wrong with it."""
        try:
            self._keyring.renew()
        except Misconfigured as error:
            return error
        return None

    def _need_secret(self) -> None:
        if self._keyring.seal.secret is None:
            raise Conflict(
                "this cluster has no secret, so that nothing is signed; give every node the same "
                "--secret FILE"
            )

    async def _asked(self, request: NodeRequest) -> list[Node]:
        """The node that is named, or all, as they are registered now."""
        if request.name:
            return [await find_node(self._master.etcd, request.name)]
        kvs = (await self._master.etcd.range(NODES)).kvs
        return [node for kv in kvs if (node := parse_node(kv)) is not None]

    async def _hand_over(self, leader: Leader) -> OptResult:
        """Let the next in line lead, if it lives; who leads then."""
        age_s = self._clock.elapsed() - leader.since
        if age_s < LEAST_TERM_S:
            raise Conflict(f"this master has led for {age_s:.1f} s only; ask again in a moment")
        await self._ask_next(leader.key)
        self._master.step_down(leader)
        catalog = self._master.catalog
        try:
            async with asyncio.timeout(HAND_OVER_S):
                while (found := catalog.leader) is None or found.key == leader.key:
                    await catalog.changed(catalog.version)
        except TimeoutError:
            raise OutcomeUnknown(
                "this master was asked to step down, and nobody else leads yet; `crawler nodes` "
                "shows who does"
            ) from None
        return OptResult(succeed={node_id(MASTER_SERVICE, found.id): True})

    async def _ask_next(self, own: str) -> None:
        """Raise where nobody would take over: then nothing has changed."""
        others = [each for each in self._master.catalog.candidates if each.key != own]
        if not others:
            raise Conflict("no other master stands for election; start one first")
        next_ = others[0]
        try:
            calls = NodeCalls(self._channels, next_.address)
            serves = await calls.serves(timeout_s=ASK_S)
        except CrawlerError as error:
            raise Unavailable(f"the next in line, {next_.value}, does not answer") from error
        if not serves:
            raise Unavailable(f"the next in line, {next_.value}, does not serve")
