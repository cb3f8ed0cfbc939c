"""Content codings undone, however the body is cut into pieces, and stopped where it grows."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest

from crawler.engine.fetch.coding import OFFERED, decoder
from crawler.errors import FetchFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Encode = Callable[[bytes], bytes]
LIMIT = 10_000_000


def raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(body) + engine.flush()


CODINGS: list[tuple[str, Encode]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", partial(brotli.compress, quality=3)),
    ("zstd", zstd.compress),
]
every_coding = pytest.mark.parametrize(("coding", "encode"), CODINGS)


def decoded(coding: str, body: bytes, step: int) -> bytes:
    decode = decoder(coding, LIMIT)
    whole = b"".join(decode.feed(body[at : at + step]) for at in range(0, len(body), step))
    decode.close()
    return whole


def failure(coding: str, body: bytes, limit: int = LIMIT) -> str:
    decode = decoder(coding, limit)
    try:
        decode.feed(body)
        decode.close()
    except FetchFailed as error:
        return error.reason
    return ""


def test_each_coding_that_is_offered_is_understood() -> None:
    assert {coding for coding, _ in CODINGS} == set(OFFERED.split(", "))


@every_coding
@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_a_body_is_the_same_in_whatever_pieces_it_comes(
    coding: str, encode: Encode, step: int
) -> None:
    body = b"".join(b"line %d\n" % number for number in range(2_000))
    assert decoded(coding, encode(body), step) == body


@every_coding
def test_what_is_beyond_one_step_of_output_is_not_kept_back(coding: str, encode: Encode) -> None:
    """All of the input may be taken, with output left that no step has given yet."""
    for size in range((1 << 18) - 40, (1 << 18) + 160, 10):
        body = (b"abcdefghij" * 27_000)[:size]
        assert decoded(coding, encode(body), 1_000_000) == body


@pytest.mark.parametrize(("coding", "encode"), [CODINGS[0], CODINGS[4]])
@pytest.mark.parametrize("step", [1, 1_000_000])
def test_a_body_of_several_parts_is_read_to_its_end(coding: str, encode: Encode, step: int) -> None:
    assert decoded(coding, encode(b"one ") + encode(b"two ") + encode(b"three"), step) == (
        b"one two three"
    )
    assert decoded(coding, encode(b"one") + b"rubbish", step) == b"one"


@every_coding
def test_a_body_that_ends_too_soon_is_incomplete(coding: str, encode: Encode) -> None:
    body = encode(bytes(range(256)) * 20)
    assert failure(coding, body[: len(body) // 2]) == "incomplete body"


@pytest.mark.threat(12)
@every_coding
def test_a_bomb_is_stopped_long_before_its_end(coding: str, encode: Encode) -> None:
    bomb = encode(bytes(20_000_000))
    assert failure(coding, bomb, 1 << 30) == "decompression bomb"
    assert failure(coding, bomb, 100_000) == "too large"
    cut = decoder(coding, 100_000, truncate=True)
    assert cut.feed(bomb) == bytes(100_000)
    assert cut.full


@every_coding
def test_what_is_no_such_coding_is_named(coding: str, encode: Encode) -> None:
    assert failure(coding, b"\xff no coding at all" * 9) == "broken content coding"


def test_a_window_that_wants_much_memory_is_refused() -> None:
    engine = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    assert failure("zstd", engine.compress(bytes(1_000)) + engine.flush()) == (
        "broken content coding"
    )


@pytest.mark.parametrize("coding", ["", "identity", "UTF-8", "none", "binary"])
def test_what_is_no_coding_changes_nothing(coding: str) -> None:
    assert decoder(coding, LIMIT).feed(b"<h1>") == b"<h1>"


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "dcb"])
def test_codings_that_were_not_offered_are_refused(coding: str) -> None:
    with pytest.raises(FetchFailed, match="content coding not offered"):
        decoder(coding, LIMIT)
