"""Bodies with images inside, sent to a real server: slowly, in great number, or full of what no image is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.api.body import BodyReader
from pipelet.domain.catalog import Catalog
from tests.api.service import Service, catalog_of_edits
from tests.api.streams import serving
from tests.support.images import data_uri, png
from tests.support.jobs import EDIT
from tests.support.waiting import until

PATH = f"/fal/queue/{EDIT}"
MIB = 2**20
BODY = json.dumps({"prompt": "a girl", "image_url": data_uri(png() + bytes(3 * MIB // 2))}).encode()
"""Of two MiB."""


@pytest.fixture
def catalog() -> Catalog:
    return catalog_of_edits(max_input_images=1)


def bodies(service: Service, **settings: Any) -> BodyReader:
    made = BodyReader(**{"large_bytes": 5 * MIB, "per_user": 5 * MIB, **settings})
    service.app.state.dependencies = replace(service.app.state.dependencies, bodies=made)
    return made


@pytest.fixture
async def client(app: FastAPI, service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(app) as (url, _), httpx2.AsyncClient(base_url=url, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {service.key}"
        yield client


@asynccontextmanager
async def unfinished(client: httpx2.AsyncClient, sent: bytes, *, key: str = "") -> AsyncIterator[asyncio.StreamReader]:
    """A submit that says it has a byte more than it sends."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    authorization = f"Bearer {key}" if key else client.headers["Authorization"]
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\nContent-Length: {len(sent) + 1}\r\n\r\n"
    )
    writer.write(head.encode() + sent)
    try:
        yield reader
    finally:
        writer.close()


async def until_free(bodies: BodyReader, size: int) -> None:
    """Within a body's last bytes."""
    await until(lambda: abs(bodies._large.free - size) <= 1000)


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.decode().splitlines() if line.lower().startswith("content-length"))
        return int(head.split()[1]), json.loads(await reader.readexactly(int(length.partition(":")[2])))


@pytest.mark.parametrize("sent", [b'{"prompt": "a girl"', BODY], ids=["a part", "two MiB"])
async def test_a_body_that_does_not_end(client: httpx2.AsyncClient, service: Service, sent: bytes) -> None:
    """It times out, with a status after which fal's clients do not retry."""
    made = bodies(service, read_timeout=0.5)
    async with unfinished(client, sent) as reader:
        status, said = await answer_of(reader)

    assert (400, "body_timeout") == (status, said["error_type"])
    assert "did not arrive within 0.5 seconds" in said["message"]
    assert 5 * MIB == made._large.free


async def test_large_bodies_wait_for_one_another(client: httpx2.AsyncClient, service: Service) -> None:
    """They wait until a timeout and may retry then; small ones pass. A client that disconnects frees its memory."""
    made = bodies(service, memory_timeout=0.3)
    async with AsyncExitStack() as others:
        for _ in range(2):
            await others.enter_async_context(unfinished(client, BODY))
        await until_free(made, 5 * MIB - 2 * len(BODY))

        refused = await client.post(PATH, content=BODY)
        assert (503, "5", "1") == (
            refused.status_code,
            refused.headers["Retry-After"],
            refused.headers["X-Fal-Needs-Retry"],
        )
        assert "Too many large bodies" in refused.json()["message"]
        assert 503 == (await client.post(PATH, content=_in_pieces(BODY))).status_code
        assert 200 == (await client.post(PATH, json={"prompt": "a", "image_url": data_uri(png())})).status_code

    await until_free(made, 5 * MIB)
    assert [200] * 3 == [(await client.post(PATH, content=BODY)).status_code for _ in range(3)]
    assert 200 == (await client.post(PATH, content=_in_pieces(BODY))).status_code
    assert 5 * MIB == made._large.free


async def test_one_user_does_not_fill_the_memory_of_all(client: httpx2.AsyncClient, service: Service) -> None:
    """There is room for others."""
    made = bodies(service, memory_timeout=0.3, per_user=3 * MIB)
    async with unfinished(client, BODY):
        await until_free(made, 5 * MIB - len(BODY))

        assert 503 == (await client.post(PATH, content=BODY)).status_code
        headers = {"Authorization": f"Bearer {await service.new_key('bob')}"}
        assert 200 == (await client.post(PATH, content=BODY, headers=headers)).status_code


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Sent without its length."""
    for begin in range(0, len(body), 2**16):
        yield body[begin : begin + 2**16]


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1"], ids=["lists", "objects", "numbers"])
async def test_millions_of_values(service: Service, value: bytes) -> None:
    """They would take gigabytes, and hold all others up: refused before they are read."""
    response = await service.client.post(PATH, content=b'{"image_urls": [' + (value + b",") * 3 * MIB + value + b"]}")

    assert 400 == response.status_code
    assert "brackets, braces and commas" in response.json()["message"]
    assert 0 == await service.queued()


async def test_a_prompt_of_commas(service: Service) -> None:
    """Next to an image of megabytes, it is as valid as any."""
    body = json.loads(BODY) | {"prompt": "a," * 2000, "negative_prompt": "[{" * 2000}

    response = await service.client.post(PATH, json=body)

    assert 200 == response.status_code, response.text
