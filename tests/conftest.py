"""What all tests share: a clean environment, the servers, and the order in which workers of pytest take the tests."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import browsers, fork_server
from tests.support.installed import USERS_AUTHORITIES
from tests.support.servers import postgres as postgres_servers
from tests.support.servers.s3 import S3Server
from tests.support.servers.tcp import NO_AUTHORITY

# A shell that runs us in the background has Ctrl-C ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# More processes run at once than there are cores: threads of each would only wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
# Hundreds of interpreters start. Without caches each would compile the sources, and pytest would rewrite the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Engines generate with classes of the tests. They do not find them by being started in the repository.
_PATHS = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, _PATHS))
# All servers are on this machine. To read the hundred authorities that it trusts takes a third of each start of an API.
os.environ.setdefault(USERS_AUTHORITIES, os.environ.get("SSL_CERT_FILE", ""))
os.environ["SSL_CERT_FILE"] = str(NO_AUTHORITY)
# The user who runs the tests may have an account at AWS: no test should reach it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]


hypothesis.settings.register_profile("thorough", max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_FIRST = (
    "tests/web/",
    "tests/acceptance/test_generated_images.py",
    "tests/engine/",
    "tests/acceptance/",
    "tests/benchmarks/",
    "tests/clients/",
    "tests/fleet/",
    "tests/cli/",
    "tests/training/",
    "tests/worker/",
    "tests/store/",
    "tests/api/",
)
"""What takes long is begun early, so that at the end no worker of pytest waits for one other."""


_WITH_TORCH = ("tests/acceptance", "tests/benchmarks", "tests/engine", "tests/training")


def pytest_xdist_auto_num_workers() -> int:
    """Many tests wait for processes of their own, so two cores have time for four tests."""
    return (os.cpu_count() or 1) * 2


def pytest_configure(config: pytest.Config) -> None:
    """Fork the workers of pytest from a process that has made their imports, and let all use one server of those."""
    if config.getoption("numprocesses", None) and hasattr(os, "pidfd_open"):
        tests = [*config.args, *(f"--ignore={path}" for path in config.getoption("ignore") or [])]
        python = fork_server.python(tests, with_torch=any(_takes(config, folder) for folder in _WITH_TORCH))
        config.option.tx = [f"popen//python={python}"] * len(config.option.tx)


def _takes(config: pytest.Config, folder: str) -> bool:
    """Whether tests of this folder, or some of them, are to run."""
    path = config.rootpath / folder
    asked = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    is_ignored = any(path.is_relative_to(Path(each).absolute()) for each in config.getoption("ignore") or [])
    return not is_ignored and any(path.is_relative_to(each) or each.is_relative_to(path) for each in asked)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests that share an expensive fixture, or at least their file, into one group: one worker runs that."""
    if not browsers.are_wanted():
        left_out = [item for item in items if _needs_a_browser(item)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=_place)
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
            if hasattr(config, "workerinput") and hasattr(item, "_id"):
                # pytest-xdist 3.8 appends the group in an attribute that pytest 9.2 no longer reads.
                item._id = type(item._id).parse(f"{item.nodeid}@{group}")


def _needs_a_browser(item: pytest.Item) -> bool:
    return not {"browser", "firefox"}.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not browsers.are_wanted():
        terminalreporter.write_line("The tests in browsers were left out, because BROWSER is empty.", yellow=True)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: no later collection of garbage has to walk through them.

    There are fewer of those, too, as tests are short, and what is left of them is little.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _place(item: pytest.Item) -> int:
    return next((place for place, start in enumerate(_FIRST) if item.nodeid.startswith(start)), len(_FIRST))


def _group(item: pytest.Item) -> str | None:
    """None for a test that starts processes of its own and shares nothing: any worker may run it."""
    if item.get_closest_marker("xdist_group"):
        return None
    file = item.nodeid.partition("::")[0]
    fixtures = [used[-1] for used in getattr(item, "_fixtureinfo").name2fixturedefs.values()]  # noqa: B009 - not public
    for fixture in fixtures:
        if fixture.scope in ("session", "package") and fixture.baseid.startswith("tests/"):
            return str(fixture.baseid)
    is_alone = file.startswith(("tests/acceptance/", "tests/clients/")) and "module" not in {
        fixture.scope for fixture in fixtures
    }
    return None if is_alone else file


@pytest.fixture(scope="session")
def tiny_z_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a checkpoint of Z-Image's real classes, at a tiny size, with random weights."""
    from tests.engine.diffusers.tiny_models.z_image import make_z_image  # with torch, which most tests can do without

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
    """Quick, because it does not wait for the disk: for tests that cut no power.

    It vacuums none of its hundred databases: that would start a process for each in every minute.
    """
    with postgres_servers.running(options="-c fsync=off -c full_page_writes=off -c autovacuum=off") as server:
        yield server
