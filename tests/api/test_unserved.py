"""An app that the chosen model cannot serve."""

import pytest

from pipelet.domain.catalog import Catalog
from tests.api.service import CATALOG, Service
from tests.jobs import APP, EDIT


@pytest.fixture
def catalog() -> Catalog:
    """As with `--model owner/name`, of which the catalog knows nothing, and so not that it edits."""
    return CATALOG.with_model("owner/name")


async def test_an_app_that_nothing_serves_says_so(service: Service) -> None:
    """It is known, nothing is queued, and the answer names where requests go."""
    answer = await service.client.post(f"/fal/queue/{EDIT}", json={"prompt": "a"})

    assert 404 == answer.status_code
    assert f"{EDIT} is known" in answer.json()["message"]
    assert APP in answer.json()["message"]
    assert 0 == await service.queued()
