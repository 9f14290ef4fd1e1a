import httpx2
import pytest

from tests.api.service import Service
from tests.api.v1.session.browser import cookie_of, sign_in


@pytest.fixture
def client(service: Service) -> httpx2.AsyncClient:
    """Without a key, and with no cookies but those that a test sends."""
    del service.client.headers["Authorization"]
    return service.client


@pytest.fixture
async def cookie(service: Service, client: httpx2.AsyncClient) -> dict[str, str]:
    return cookie_of(await sign_in(client, key=service.key))
