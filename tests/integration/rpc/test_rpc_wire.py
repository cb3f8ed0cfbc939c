"""What somebody on the line between two nodes sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.access import Access, Role, acting_for, line_of, new_token
from crawler.ops.certificates import make_authority, make_node
from crawler.rpc.calls import CallSettings, Channels, MasterCalls
from crawler.rpc.pb.control_pb2 import PutRequest
from crawler.rpc.server import serve
from crawler.tls import Pair, read_pair
from tests.fakes.control import FakeMaster
from tests.lab.proxy import open_proxy

DEFINITION = '{"start_urls":["https://shop.example/"]}'


async def seen(wanted: str, pair: Pair | None, access: Access, token: str) -> bool:
    """Whether these words pass on the line in a call."""
    async with (
        serve("127.0.0.1:0", FakeMaster().services, access=access, pair=pair, grace_s=0.1) as at,
        open_proxy("127.0.0.1", at.port) as line,
    ):
        line.tap = bytearray()
        channels = Channels(pair)
        settings = CallSettings(timeout_s=10.0)
        calls = MasterCalls(channels, f"127.0.0.1:{line.port}", settings=settings)
        acting_for.set(f"Bearer {token}")
        await calls.put_resource(PutRequest(name="a", definition_json=DEFINITION))
        await channels.close()
        return wanted.encode() in line.tap


@pytest.mark.threat(4)
async def test_over_tls_neither_tokens_nor_urls_are_seen(tmp_path: Path) -> None:
    token, file = new_token(), tmp_path / "tokens"
    file.write_text(line_of(token, "o", Role.OPERATE))
    access = Access(file)
    make_authority(tmp_path)
    make_node(tmp_path, "n", ())
    pair = read_pair(*(str(tmp_path / each) for each in ("ca.pem", "n.pem", "n.key")))
    # The name and the URL stand in the request as they are; a token may be packed on the way.
    assert await seen("shop.example", None, access, token)
    for wanted in ("shop.example", token, token[-8:], "PutResource"):
        assert not await seen(wanted, pair, access, token)
