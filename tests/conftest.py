"""For all tests."""

import signal
from collections.abc import Iterator

import pytest

from tests import postgres_server as postgres_servers

# A shell that runs us in the background has Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_z_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a checkpoint of Z-Image's real classes, at a tiny size, with random weights."""
    from tests.engine.tiny_z_image import make_z_image  # with torch, which most tests can do without

    folder = tmp_path_factory.mktemp("tiny-z-image")
    make_z_image(folder)
    return str(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres_servers.Server]:
    """Quick, because it does not wait for the disk: for tests that cut no power."""
    with postgres_servers.running(options="-c fsync=off") as server:
        yield server
