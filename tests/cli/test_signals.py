"""SIGTERM from the first moment, also for process 1, and limits that a system refuses."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelet.cli.commands.operator.serve import _allow_many_connections
from tests.support.service import environment
from tests.support.waiting import eventually

_UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""Of util-linux: as root, or where the kernel lets users make namespaces."""
if os.geteuid() != 0:
    _UNSHARE.append("--map-root-user")
_AWAY = {"database_url": "postgresql://pipelet@127.0.0.1:1/pipelet"}


@pytest.mark.parametrize(
    ("arguments", "settings", "until"),
    [
        (["serve", "--workers", "0", "--port", "0"], {}, "handler"),
        (["worker"], _AWAY, "database.unavailable"),
    ],
    ids=["during the imports", "while it waits for a database"],
)
def test_process_1_ends_at_sigterm_before_it_serves(
    tmp_path: Path, arguments: list[str], settings: dict[str, Any], until: str
) -> None:
    """As the first process of a container it ends at once, and says nothing more."""
    log = tmp_path / "log"
    with log.open("w") as output:
        namespace = subprocess.Popen(
            [*_UNSHARE, sys.executable, "-m", "pipelet", *arguments],
            cwd=tmp_path,
            env=environment(**settings),
            stdout=output,
            stderr=output,
        )
    try:
        pid = int(eventually(lambda: _children(namespace.pid), within=10)[0])
        eventually(lambda: until in log.read_text() if until != "handler" else _catches_sigterm(pid), within=20)
        began = time.monotonic()
        subprocess.run(["kill", "-TERM", str(pid)], check=True)

        assert 143 == namespace.wait(10), log.read_text()
        assert time.monotonic() - began < 3
        assert "Traceback" not in log.read_text()
        assert "Pipelet listens" not in log.read_text()
    finally:
        namespace.kill()
        namespace.wait()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _catches_sigterm(pid: int) -> bool:
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_the_first_step_of_a_process_imports_nothing_slow() -> None:
    """What installs the handler loads neither asyncio nor the libraries of the command line."""
    code = "import sys, pipelet.__main__; print(*{'asyncio', 'structlog', 'cyclopts', 'pydantic'} & sys.modules.keys())"

    shown = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)

    assert "" == shown.stdout.strip()


def test_a_process_that_cannot_exit_in_order_exits_all_the_same() -> None:
    """As where the signal comes during a finalizer, whose exceptions Python drops."""
    code = """
import os, signal, time
from pipelet.__main__ import exit_at_sigterm

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

exit_at_sigterm(within=0.1)
Finalized()
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, timeout=20, check=False)

    assert 143 == done.returncode


@pytest.mark.parametrize("error", [ValueError, OSError])
@pytest.mark.parametrize(("granted", "taken"), [(61_440, [61_440]), (10_240, [10_240]), (100, [])])
def test_a_system_that_refuses_many_open_files_gives_as_many_as_it_has(
    error: type[Exception], granted: int, taken: list[int]
) -> None:
    """macOS calls its hard limit unlimited and refuses large numbers: the largest that it grants is taken, or none."""
    set_to = []

    def set_limit(_resource: int, limits: tuple[int, int]) -> None:
        if limits[0] > granted:
            raise error("current limit exceeds maximum limit")
        set_to.append(limits[0])

    _allow_many_connections((256, resource.RLIM_INFINITY), set_limit)

    assert taken == set_to
