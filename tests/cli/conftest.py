from collections.abc import Iterator

import pytest

from tests.support.fork_server.children import COLD
from tests.support.service import Service

SECRETS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hush", "PGPASSWORD": "hush", "A_TOKEN": "hush"}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service whose one worker is ready. Tests make requests of their own, and leave none behind.

    It runs in a folder with Python files that are not its own, and with variables that only its own parts may have.
    Its worker and engine are new interpreters, which could find those files.
    """
    folder = tmp_path_factory.mktemp("service")
    for name in ("fpng", "sitecustomize"):
        (folder / f"{name}.py").write_text("open(f'run-{__name__}', 'w').close()")
    with Service(folder, variables={**SECRETS, COLD: "1"}) as running:
        running.wait_for_worker()
        yield running


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service without a worker: every request waits."""
    with Service(tmp_path_factory.mktemp("idle"), arguments=["--workers", "0"]) as running:
        yield running
