"""Calls of `/api/v1` that tests share."""

from typing import Any

from tests.api.service import Service

LIST = "/api/v1/requests"


async def get(service: Service, path: str, *, status: int = 200, key: str | None = None, **params: Any) -> Any:
    return await call(service, "GET", path, status=status, key=key, params=params or None)


async def call(
    service: Service, method: str, path: str, *, status: int = 200, key: str | None = None, **rest: Any
) -> Any:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = await service.client.request(method, path, headers=headers, **rest)
    assert status == response.status_code, response.text
    return response.json() if response.content else None
