"""The operator's control of apps, requests and workers."""

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.lists import list_response
from pipelet.api.v1.reading import read_body
from pipelet.api.v1.schemas import Input, Output, iso_time
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.jobs.job import MAX_PRIORITY, MIN_PRIORITY
from pipelet.services.accounts.access import Caller
from pipelet.services.queue import admin


class WorkerItem(Output):
    name: str
    state: str = Field(description="`ready`, `not ready` or `draining`.")
    profile: str = Field(description="Model and device.")
    model: str
    apps: list[str]
    version: str
    problem: str | None = Field(description="Why it is not ready.")
    seen_at: str = Field(description="Time of its last heartbeat.")


class WorkerList(Output):
    items: list[WorkerItem]
    next: str | None


class ChangePriority(Input):
    priority: int = Field(
        ge=MIN_PRIORITY, le=MAX_PRIORITY, description="Larger runs sooner; no ceiling of a key counts."
    )


class ChangedPriority(Output):
    id: str
    priority: int


async def pause_app(request: Request, caller: Caller) -> Response:
    services = get_services(request)
    await admin.pause(services.store, services.catalog, caller.actor, request.path_params["app"])
    return Response(status_code=204)


async def resume_app(request: Request, caller: Caller) -> Response:
    await admin.resume(get_services(request).store, caller.actor, request.path_params["app"])
    return Response(status_code=204)


async def move_to_front(request: Request, caller: Caller) -> Response:
    await admin.move_to_front(get_services(request).store, caller.actor, request.path_params["request_id"])
    return Response(status_code=204)


async def change_priority(request: Request, caller: Caller) -> Response:
    request_id, body = request.path_params["request_id"], await read_body(request, caller, ChangePriority)
    await admin.set_priority(get_services(request).store, caller.actor, request_id, body.priority)
    return json_response(200, {"id": request_id, "priority": body.priority})


async def list_workers(request: Request, _: Caller) -> Response:
    store = get_services(request).store
    workers = await store.workers.live(store.clock.now())
    items = [
        {
            "name": worker.name,
            "state": _state(worker),
            "profile": worker.profile,
            "model": worker.model,
            "apps": worker.apps,
            "version": worker.version,
            "problem": worker.problem,
            "seen_at": iso_time(worker.seen_at),
        }
        for worker in workers
    ]
    return list_response(items, None)


async def drain_worker(request: Request, caller: Caller) -> Response:
    await admin.drain(get_services(request).store, caller.actor, request.path_params["name"])
    return Response(status_code=204)


async def undrain_worker(request: Request, caller: Caller) -> Response:
    await admin.undrain(get_services(request).store, caller.actor, request.path_params["name"])
    return Response(status_code=204)


def _state(worker: WorkerHeartbeat) -> str:
    return "draining" if worker.draining else "ready" if worker.ready else "not ready"
