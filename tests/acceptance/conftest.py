from collections.abc import Iterator

import pytest

from tests.support.service import Service


@pytest.fixture(scope="session")
def demo_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that generates with the demo model, with short leases. A test that kills it starts it again."""
    settings = {"model": "demo", "lease_seconds": "2"}
    with Service(tmp_path_factory.mktemp("demo-service"), settings=settings) as service:
        service.wait_for_worker()
        yield service
