"""How the tests of sessions act as a browser."""

from typing import Any

import httpx2

from pipelet.services.accounts.maintenance import AccountMaintenance
from tests.api.service import Service

HOST = "http://127.0.0.1:8000"
URL = f"{HOST}/api/v1/session"
COOKIE = "__Host-pipelet-8000"
PAGE = {"Content-Type": "application/json", "X-Pipelet": "1", "Sec-Fetch-Site": "same-origin"}


async def sign_in(client: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    response = await client.post(URL, json=body, headers=PAGE)
    client.cookies.clear()
    return response


def cookie_of(response: httpx2.Response) -> dict[str, str]:
    """The header that sends the cookie of a response."""
    assert 204 == response.status_code, response.text
    return {"Cookie": response.headers["set-cookie"].partition(";")[0]}


async def code_of(client: httpx2.AsyncClient, cookie: dict[str, str]) -> int:
    """The status of a read with a cookie."""
    return (await client.get(URL, headers=cookie)).status_code


def bearer(service: Service) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.key}"}


async def maintain(service: Service) -> None:
    """What the service does once a minute."""
    state = service.app.state
    await AccountMaintenance(service.store, state.dependencies.authenticator, state.sessions).run()
