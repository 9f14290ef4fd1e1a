"""For all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres_server as postgres_servers
from tests.s3_server import S3Server

# A shell that runs us in the background has Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# As many of us run at once as there are cores: threads of each beside them would only wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
# Engines draw with classes of the tests. They do not find them by being started in the repository.
_PATHS = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _PATHS))
# Whoever runs us may have an account at AWS: no test should find its way there.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]


@pytest.fixture(scope="session")
def tiny_z_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a checkpoint of Z-Image's real classes, at a tiny size, with random weights."""
    from tests.engine.tiny_z_image import make_z_image  # with torch, which most tests can do without

    folder = tmp_path_factory.mktemp("tiny-z-image")
    make_z_image(folder)
    return str(folder)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Running. Tests keep to a prefix of their own, and leave it running."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres_servers.Server]:
    """Quick, because it does not wait for the disk: for tests that cut no power."""
    with postgres_servers.running(options="-c fsync=off") as server:
        yield server
