"""Celery with Redis, and the front that a user writes for it: `uvicorn benchmarks.peers.celery_front:front`."""

import os
from pathlib import Path

from celery import Celery
from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from benchmarks.peers import handler

REDIS = os.environ["BENCHMARK_REDIS"]
PICTURES = Path(os.environ["BENCHMARK_PICTURES"])
queue = Celery("pictures", broker=REDIS, backend=REDIS)
# A task of a lost worker runs again once no worker can have it any more: after 30 s here, after an hour by default.
queue.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
queue.conf.update(broker_transport_options={"visibility_timeout": 30}, task_track_started=True)
front = FastAPI()


@queue.task(bind=True)
def generate(self, number: int) -> str:
    path = PICTURES / f"{self.request.id}.png"
    path.write_bytes(handler.generate(number))
    return str(path)


@front.post("/pictures")
def submit(body: dict[str, int]) -> dict[str, str]:
    return {"id": generate.delay(body["number"]).id}


@front.get("/pictures/{task_id}/status")
def status(task_id: str) -> dict[str, str]:
    return {"status": queue.AsyncResult(task_id).state}


@front.get("/pictures/{task_id}")
def result(task_id: str) -> FileResponse:
    found = queue.AsyncResult(task_id)
    if found.state != "SUCCESS":
        raise HTTPException(404, found.state)
    return FileResponse(found.result)
