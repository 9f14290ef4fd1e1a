"""For whoever runs the service: is it alive, can it do its work, and if not, why not.

Probes and load balancers have no key, and strangers reach these paths as they do: without one, an answer holds a status
and a fixed word for each check. The reasons name files, servers and models: they are in the log, in `pipelet doctor`,
and in the answer to a caller with a key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from pipelet.api.addresses import local_path
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import json_response
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import NotAllowed, StoreUnusable, Unusable
from pipelet.domain.ports import JobStore
from pipelet.domain.workers import WorkerReport

log = structlog.get_logger()

_CHECK_SECONDS = 4.0
"""The longest that a check may take; probes and `pipelet doctor` wait for the answer."""
_KEY_SECONDS = 2.0


async def root(request: Request) -> Response:
    parts = parts_of(request)
    docs, health = (local_path(parts.public_url, path) for path in ("/docs", "/health/ready"))
    return json_response(200, {"service": "pipelet", "version": parts.version, "docs": docs, "health": health})


async def live(request: Request) -> Response:
    return json_response(200, {"status": "ok"})


async def ready(request: Request) -> Response:
    """200 where this process can do its part: take requests and tell of them.

    Workers and the files' store are told of, and do not decide: every API would leave the load balancer at once, with
    nobody left to take requests, which wait well, and to tell of those that are done.
    """
    parts = parts_of(request)
    troubles = {"store": await parts.store_trouble.get(), "blobs": await parts.blobs_trouble.get()}
    if not await _has_key(request, parts):
        checks = {name: "unavailable" if trouble else "ok" for name, trouble in troubles.items()}
        return _answer(troubles, {"checks": checks})
    workers: list[WorkerReport] = []
    if troubles["store"] is None:
        try:
            workers = await parts.store.live_workers(parts.clock.now())
        except Unusable as error:  # since the check, which was a moment ago
            troubles["store"] = str(error)
    more = {
        "version": parts.version,
        "checks": {name: trouble or "ok" for name, trouble in troubles.items()},
        "workers": [_worker(worker) for worker in workers],
        "notes": _notes(workers, parts.catalog.served_apps(), troubles["blobs"]) if troubles["store"] is None else [],
    }
    return _answer(troubles, more)


async def scrape(request: Request) -> Response:
    parts = parts_of(request)
    await parts.doorkeeper.admit(request.headers.raw)
    return Response(await parts.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def trouble_of(name: str, check: Callable[[], Awaitable[None]], throttle: LogThrottle) -> str | None:
    """Why `check` fails, which the log then says as well; None where it does not."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Unusable as error:
        reason = str(error)
    except TimeoutError:
        reason = f"It did not answer within {_CHECK_SECONDS:g} seconds."
    else:
        return None
    throttle.write(log.error, "health.check_failed", check=name, reason=reason)
    return reason


async def check_store(store: JobStore) -> None:
    """
    Raises:
        StoreUnusable: it cannot be read or written.
    """
    await store.check()
    await store.live_workers(store.clock.now())


def _answer(troubles: Mapping[str, str | None], more: Mapping[str, Any]) -> Response:
    is_ready = troubles["store"] is None
    return json_response(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", **more})


async def _has_key(request: Request, parts: Parts) -> bool:
    """A store that is away cannot be asked: then a key counts that was known when it was last used."""
    try:
        async with asyncio.timeout(_KEY_SECONDS):
            await parts.doorkeeper.admit(request.headers.raw)
    except NotAllowed:
        return False
    except (StoreUnusable, TimeoutError):
        return parts.doorkeeper.remembers(request.headers.raw)
    return True


def _worker(worker: WorkerReport) -> dict[str, Any]:
    return {"kind": worker.kind, "apps": worker.apps, "ready": worker.ready, "problem": worker.problem}


def _notes(workers: list[WorkerReport], apps: Iterable[str], blobs_trouble: str | None) -> list[str]:
    notes = []
    if not workers:
        notes.append("No worker is running: requests are accepted and wait. Start one with `pipelet worker`.")
    elif not any(worker.ready for worker in workers):
        notes.append("No worker is ready yet: requests are accepted and wait until one has loaded its model.")
    else:
        unserved = [app for app in apps if not any(worker.serves(app) for worker in workers)]
        notes += [f"No worker serves {app} at present: its requests are accepted and wait." for app in unserved]
    if blobs_trouble is not None:
        notes.append("Files cannot be stored: requests are accepted, and finished pictures wait. See checks.blobs.")
    return notes
