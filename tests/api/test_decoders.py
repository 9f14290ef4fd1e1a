"""Work that hangs holds nobody up."""

import asyncio
import contextlib
import subprocess
import sys
import threading

import pytest

from pipelet.api.decoders import Decoders
from tests.service import environment

PATIENCE = 20.0
_PROGRAM = """
import asyncio, contextlib, threading
from pipelet.api.decoders import Decoders

async def main():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await Decoders(2).run(threading.Event().wait)
    print("nobody waits any more")

asyncio.run(main())
"""


def test_a_process_ends_though_a_picture_hangs() -> None:
    """In the middle of decoding it."""
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (0, "nobody waits any more\n", "") == (ended.returncode, ended.stdout, ended.stderr)


async def test_what_hangs_still_counts() -> None:
    """Whoever waited for it is gone; no more than so many run, and the next one begins when it ends."""
    decoders, end = Decoders(1), threading.Event()
    hanging = asyncio.create_task(decoders.run(lambda: end.wait(PATIENCE)))
    await asyncio.sleep(0)
    hanging.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hanging
    waiting = asyncio.create_task(decoders.run(lambda: "decoded"))
    assert not (await asyncio.wait([waiting], timeout=0.2))[0]

    end.set()

    assert "decoded" == await asyncio.wait_for(waiting, PATIENCE)


async def test_errors_are_the_callers() -> None:
    """And they leave room for others."""
    decoders = Decoders(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await decoders.run(lambda: 1 // 0)
