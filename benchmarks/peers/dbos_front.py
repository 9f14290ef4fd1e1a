"""DBOS on PostgreSQL, and the front that a user writes for it: `python -m benchmarks.peers.dbos_front PORT`."""

import os
import sys
from pathlib import Path

import uvicorn
from dbos import DBOS
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from benchmarks.peers import handler

PICTURES = Path(os.environ["BENCHMARK_PICTURES"])
front = FastAPI()
DBOS(
    config={
        "name": "pictures",
        "system_database_url": os.environ["BENCHMARK_DATABASE"],
        "run_admin_server": False,
        "application_version": "1",
        "console_log_level": "WARNING",
    }
)


@DBOS.step()
def generate_file(number: int) -> str:
    path = PICTURES / f"{DBOS.workflow_id}.png"
    path.write_bytes(handler.generate(number))
    return str(path)


@DBOS.workflow()
def generate(number: int) -> str:
    return generate_file(number)


@front.post("/pictures")
def submit(body: dict[str, int]) -> dict[str, str]:
    return {"id": queue.enqueue(generate, body["number"]).workflow_id}


@front.get("/pictures/{workflow_id}/status")
def status(workflow_id: str) -> dict[str, str]:
    found = DBOS.get_workflow_status(workflow_id)
    return {"status": found.status if found else "UNKNOWN"}


@front.get("/pictures/{workflow_id}")
def result(workflow_id: str) -> FileResponse:
    found = DBOS.get_workflow_status(workflow_id)
    if found is None or found.status != "SUCCESS":
        raise HTTPException(404, "not finished")
    return FileResponse(found.output)


if __name__ == "__main__":
    DBOS.launch()
    # It looks for work once a second, unless it is told to look more often.
    queue = DBOS.register_queue(
        "pictures", worker_concurrency=int(os.environ["BENCHMARK_WORKERS"]), polling_interval_sec=0.02
    )
    uvicorn.run(front, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
