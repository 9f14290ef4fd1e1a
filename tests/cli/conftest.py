from collections.abc import Iterator

import pytest

from tests.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service whose one worker is ready. Tests make requests of their own, and leave none behind."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        running.wait_for_worker()
        yield running


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service without a worker: every request waits."""
    with Service(tmp_path_factory.mktemp("idle"), arguments=["--workers", "0"]) as running:
        yield running
