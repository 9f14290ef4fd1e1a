"""Calls of `/api/v1/uploads` that tests share."""

from typing import Any

import httpx2

from tests.api.service import Service
from tests.support.images import png
from tests.support.jobs import EDIT

URL = "/api/v1/uploads"
RED = png()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def send(
    service: Service, body: bytes = RED, *, query: str = "", key: str = "", content_type: str = ""
) -> httpx2.Response:
    headers = bearer(key) if key else {}
    if content_type:
        headers["Content-Type"] = content_type
    return await service.client.post(f"{URL}{query}", content=body, headers=headers)


async def upload(service: Service, body: bytes = RED, **options: str) -> dict[str, Any]:
    response = await send(service, body, **options)
    assert 201 == response.status_code, response.text
    return dict(response.json())


async def edit(service: Service, *urls: str, key: str = "") -> httpx2.Response:
    body = {"prompt": "a girl at a table", "image_urls": list(urls)}
    return await service.client.post(f"/fal/queue/{EDIT}", json=body, headers=bearer(key) if key else {})


async def stored(service: Service, user: str = "ada") -> int:
    return (await service.store.limits.quota(user)).stored_bytes


def files(service: Service) -> list[str]:
    """Names of all files, below the folder of the store."""
    folder = service.blobs._folder
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
