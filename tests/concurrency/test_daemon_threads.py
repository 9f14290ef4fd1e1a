"""Work that hangs delays no stop."""

import asyncio
import contextlib
import subprocess
import sys
import threading

import pytest

from pipelet.concurrency.daemon_threads import DaemonThreadPool, NoFreeThread
from tests.support.service import environment

PATIENCE = 20.0
_PROGRAM = """
import asyncio, contextlib, threading
from pipelet.concurrency.daemon_threads import DaemonThreadPool

async def main():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await DaemonThreadPool(2, name="hangs").run(threading.Event().wait)
    print("no caller waits any more")

asyncio.run(main())
"""


def test_a_process_ends_though_a_thread_hangs() -> None:
    """No caller waits for it, at the end either."""
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (0, "no caller waits any more\n", "") == (ended.returncode, ended.stdout, ended.stderr)


async def test_what_hangs_still_counts() -> None:
    """Its caller is gone; no more than the maximum run, and the next one begins when it ends."""
    threads, end = DaemonThreadPool(1, name="test"), threading.Event()
    hanging = asyncio.create_task(threads.run(lambda: end.wait(PATIENCE)))
    await asyncio.sleep(0)
    hanging.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hanging
    waiting = asyncio.create_task(threads.run(lambda: "done"))
    assert not (await asyncio.wait([waiting], timeout=0.2))[0]

    end.set()

    assert "done" == await asyncio.wait_for(waiting, PATIENCE)


async def test_one_user_leaves_room_for_others() -> None:
    """Also with what hangs and was given up; who waits in vain for a thread is told so."""
    threads, end = DaemonThreadPool(3, per_user=2, name="test"), threading.Event()
    hanging = [asyncio.create_task(threads.run(lambda: end.wait(PATIENCE), user="eve")) for _ in range(2)]
    await asyncio.sleep(0)
    for each in hanging:
        each.cancel()

    with pytest.raises(NoFreeThread):
        await threads.run(lambda: "done", user="eve", max_wait_seconds=0.02)
    assert "done" == await threads.run(lambda: "done", user="bob")

    end.set()
    assert "done" == await threads.run(lambda: "done", user="eve", max_wait_seconds=PATIENCE)


async def test_errors_are_the_callers() -> None:
    """And they leave room for others."""
    threads = DaemonThreadPool(1, name="test")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)


async def test_a_thread_that_cannot_start_keeps_no_place() -> None:
    """The caller gets the error of the system, and the next one a thread."""
    threads = DaemonThreadPool(1, name="test")
    usual = threading.stack_size(1 << 46)  # more than any system has room for
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run(lambda: "never")
    finally:
        threading.stack_size(usual)

    assert "done" == await asyncio.wait_for(threads.run(lambda: "done"), PATIENCE)
