"""The greeting by which anybody may see that a worker is there."""

from __future__ import annotations

from crawler.rpc.incoming import Context
from crawler.rpc.pb import greeter_pb2, greeter_pb2_grpc


def greet(name: str) -> str:
    """What ``Greeter.Hello`` answers."""
    return f"Hello {name}"


class Greeter(greeter_pb2_grpc.GreeterServicer):
    """The servicer that every worker offers."""

    async def Hello(  # noqa: N802 -- the wire's name
        self, request: greeter_pb2.Request, context: Context
    ) -> greeter_pb2.Response:
        del context
        return greeter_pb2.Response(greeting=greet(request.name))
