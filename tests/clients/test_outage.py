"""The service goes away while clients wait, with all its processes, and comes back."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.clients.behind_tls import behind_tls
from tests.clients.installed import HERE
from tests.clients.test_fal_javascript import start_node
from tests.support.installed import node_modules

PYTHON = """
import asyncio, sys, fal_client
call = {"arguments": {"prompt": "a fox sleep=0.1", "width": 64, "height": 64}}
call["on_enqueue"] = lambda request_id: print(request_id, flush=True)
app = "queue/z-image-text-to-image"
result = asyncio.run(fal_client.subscribe_async(app, **call)) if sys.argv[1:] else fal_client.subscribe(app, **call)
print(len(result["images"]))
"""


def test_waiting_clients_survive_an_outage(tmp_path: Path) -> None:
    """All processes are killed while requests wait and run; each call ends with its picture, and was submitted once."""
    node_modules()
    with behind_tls(tmp_path) as running:
        service, environment = running.service, os.environ | running.variables()
        service.wait_for_worker()
        with service.paused():
            calls = [
                subprocess.Popen(
                    [sys.executable, "-c", PYTHON, *how], env=environment, stdout=subprocess.PIPE, text=True
                )
                for how in ([], ["asynchronously"])
            ]
            calls.append(start_node(tmp_path / "node", HERE / "node" / "outage.mjs", service=service))
            request_ids = [call.stdout.readline().strip() for call in calls if call.stdout]
            service.kill()
        service.start()
        ends = [call.communicate(timeout=100)[0].strip() for call in calls]

    assert ["1", "1", "1"] == ends
    with contextlib.closing(sqlite3.connect(service.data_dir / "pipelet.sqlite")) as database:
        jobs = database.execute("SELECT id, state FROM job").fetchall()
    assert {(request_id, "succeeded") for request_id in request_ids} == set(jobs)
