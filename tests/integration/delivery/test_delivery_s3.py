"""Putting objects to a bucket: what is asked for, and that the signature is what AWS computes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from crawler.definition import Sink
from crawler.definition.secrets import Secret
from crawler.delivery.post import open_post
from crawler.delivery.records import Parcel
from crawler.delivery.s3 import signed
from crawler.errors import DeliveryFailed
from tests.integration.engine.servers import serving

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PARCEL = Parcel("217-1-bucket-1-2", "shop", (b'{"a":1}\n', '{"a":"бук"}\n'.encode()))
SECRETS = {"bucket": Secret(KEY, ("127.0.0.1",)), "other": Secret(KEY, ("s3.example",))}
LOOPBACK = ["127.0.0.0/8"]


def bucket(url: str, secret: str = "bucket") -> Sink:
    return Sink(
        name="bucket",
        kind="s3",
        url=url,
        region="eu-central-1",
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key=f"${{secret:{secret}}}",
    )


def signature_of(method: str, url: str, headers: Mapping[str, str], body: bytes) -> str:
    """What the SDK of AWS makes of the headers that were signed."""
    found = re.search(r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", headers["Authorization"])
    assert found is not None
    named = {name: headers[name] for name in found[1].split(";")}
    request = AWSRequest(method, url, data=body, headers=named)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", KEY), "s3", "eu-central-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    expected = str(auth.signature(text, request))
    assert found[2] == expected
    return expected


@pytest.mark.parametrize("prefix", ["/items", "/items/täglich/v=1/", "/items/a%20b"])
async def test_a_batch_is_one_object_under_a_key_that_names_it(prefix: str) -> None:
    got: dict[str, bytes] = {}

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        signature_of(request.method, str(request.url), request.headers, body)
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        assert request.headers["Content-Type"] == "application/x-ndjson"
        got[request.raw_path] = body
        return web.Response()

    async with serving(receive) as url, open_post(LOOPBACK, None, secrets=SECRETS) as post:
        await post.send(bucket(f"{url}{prefix}"), PARCEL)
        await post.send(bucket(f"{url}{prefix}"), PARCEL)
    [(path, body)] = got.items()
    assert path.endswith("/shop/217-1-bucket-1-2.jsonl")
    assert body == PARCEL.body


def test_the_documentations_own_example() -> None:
    """ "Signature Calculations for the Authorization Header", example PUT Object."""
    sink = bucket("https://examplebucket.s3.amazonaws.com/x").model_copy(
        update={"region": "us-east-1", "secret_access_key": KEY}
    )
    headers = {
        "date": "Fri, 24 May 2013 00:00:00 GMT",
        "host": "examplebucket.s3.amazonaws.com",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    added = signed("PUT", "/test%24file.text", headers, b"Welcome to Amazon S3.", sink, 1369353600)
    assert added["authorization"].endswith(
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


@pytest.mark.threat(20)
@pytest.mark.parametrize(
    ("secret", "said"), [("none", "has no secret none"), ("other", "may not be sent to 127.0.0.1")]
)
async def test_a_key_goes_nowhere_else(secret: str, said: str) -> None:
    async def receive(request: web.Request) -> web.Response:
        raise AssertionError("reached")

    async with serving(receive) as url, open_post(LOOPBACK, None, secrets=SECRETS) as post:
        with pytest.raises(DeliveryFailed, match=said) as failed:
            await post.send(bucket(f"{url}/items", secret), PARCEL)
    assert failed.value.refused
    assert KEY not in str(failed.value)


@pytest.mark.parametrize(
    ("status", "text", "said", "refused"),
    [
        (403, "<Code>SignatureDoesNotMatch</Code>", "HTTP 403: SignatureDoesNotMatch", True),
        (404, "<Error><Code>NoSuchBucket</Code></Error>", "HTTP 404: NoSuchBucket", True),
        (403, "<Code>RequestTimeTooSkewed</Code>", "HTTP 403: RequestTimeTooSkewed", False),
        (400, "<Code>RequestTimeout</Code>", "HTTP 400: RequestTimeout", False),
        (503, "<Code>SlowDown</Code>", "HTTP 503: SlowDown", False),
        (403, "<Code>no\nword</Code>", "HTTP 403", True),
        (403, " " * 1_000_000 + "<Code>Late</Code>", "HTTP 403", True),
        (
            *(301, "<Code>PermanentRedirect</Code>"),
            *("HTTP 301: PermanentRedirect (a redirect; name its target)", True),
        ),
    ],
)
async def test_what_the_bucket_says_is_told_and_what_does_not_pass_waits_for_somebody(
    status: int, text: str, said: str, refused: bool
) -> None:
    async def receive(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, text=text)

    async with serving(receive) as url, open_post(LOOPBACK, None, secrets=SECRETS) as post:
        with pytest.raises(DeliveryFailed) as failed:
            await post.send(bucket(f"{url}/items"), PARCEL)
    assert (str(failed.value), failed.value.refused) == (said, refused)


@pytest.mark.threat(6)
async def test_a_bucket_at_a_private_address_is_refused() -> None:
    async with open_post([], None, secrets=SECRETS) as post:
        with pytest.raises(DeliveryFailed, match="address refused"):
            await post.send(bucket("http://127.0.0.1:9/items"), PARCEL)
