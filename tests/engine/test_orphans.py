import asyncio
import os
import select
import signal
import socket
import sys

import pytest

from pipelet.domain.catalog import ModelConfig
from pipelet.engine import messages
from tests.support.waiting import until

PARENT = """
import asyncio, sys
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec, OutputFormat
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess

async def main():
    engine = EngineProcess(
        model=ModelConfig(name="zoo", source="zoo", backend="tests.support.backends.gradient:Gradient"), source="zoo"
    )
    await engine.start()
    spec = ImageSpec(
        prompt="sleep=3600", negative_prompt=None, width=64, height=64, batch_size=1, seed=1, num_inference_steps=4,
        guidance_scale=0.0, output_format=OutputFormat.PNG,
    )
    if sys.argv[1] == "generating":
        tell = lambda done: print(engine.pid, flush=True)
        await engine.generate(MicroBatch(job_id="j", spec=spec, first=0, count=1), tell)
    print(engine.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_running(pid):
    """False, too, for a process that ended and was not collected."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("state", ["idle", "generating"])
async def test_the_child_dies_with_a_parent_that_is_killed(state):
    """However its parent ends, and whatever it is doing, the generation process goes at once."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, state, stdout=asyncio.subprocess.PIPE, env=environment
    )
    child = int(await asyncio.wait_for(_first_number(parent.stdout), 20))
    assert is_running(child)

    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    await until(lambda: not is_running(child), within=3)


async def _first_number(stream):
    # Log lines may come first.
    while not (line := (await stream.readline()).strip()).isdigit():
        assert line, "the parent ended"
    return line


async def test_the_child_dies_with_a_parent_that_had_not_heard_all():
    """Words that the parent never read do not keep the generation process."""
    ours, theirs = socket.socketpair()
    model = ModelConfig(name="zoo", source="zoo", backend="tests.support.backends.gradient:Gradient")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipelet.engine.child", str(theirs.fileno()), "0", "0"),
        pass_fds=[theirs.fileno()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    theirs.close()
    ours.sendall(messages.encode(messages.Load(model=model, source="zoo", device="cpu")))
    await until(lambda: select.select([ours], [], [], 0)[0], within=20)

    ours.close()

    assert await asyncio.wait_for(child.wait(), 20) == 0
