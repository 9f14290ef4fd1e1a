"""Health: whether the service is alive and ready, and if not, why not.

Probes, load balancers and strangers have no key: without one, a response holds a status and a fixed word for each
check. The reasons name files, servers and models: they are in the log, in `pipelet doctor`, and in the response to a
client with a key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import authenticate, key_hash_of
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.request_urls import local_path
from pipelet.concurrency.cached_value import CachedValue
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.errors import AuthenticationError, OperationalError, StoreError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store

log = structlog.get_logger()

_CHECK_TIMEOUT = 4.0
"""Seconds. Probes and `pipelet doctor` wait for the response."""
_KEY_TIMEOUT = 2.0
_CACHE_SECONDS = 2.0


class Health:
    """The routes that report it."""

    def __init__(self, store: Store, blobs: BlobStore, throttle: LogThrottle, *, version: str) -> None:
        self._store = store
        self._version = version
        self._errors = {
            name: CachedValue(
                partial(_check_error, name, check, throttle), ttl_seconds=_CACHE_SECONDS, now=store.clock.now
            )
            for name, check in (("store", partial(_check_store, store)), ("blobs", blobs.check))
        }

    async def root(self, request: Request) -> Response:
        public_url = get_dependencies(request).public_url
        docs, health = (local_path(public_url, path) for path in ("/docs", "/health/ready"))
        return json_response(200, {"service": "pipelet", "version": self._version, "docs": docs, "health": health})

    async def live(self, _: Request) -> Response:
        return json_response(200, {"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """200 if this process can accept requests and report on them.

        Workers and the blob store are reported and do not decide: otherwise all API processes would leave the load
        balancer at once, although requests can wait and finished ones can be read.
        """
        deps = get_dependencies(request)
        problems = {name: await error.get() for name, error in self._errors.items()}
        if not await _has_key(request, deps):
            checks = {name: "unavailable" if problem else "ok" for name, problem in problems.items()}
            return _health_response(problems, {"checks": checks})
        workers: list[WorkerHeartbeat] = []
        if problems["store"] is None:
            try:
                workers = await self._store.workers.live(self._store.clock.now())
            except OperationalError as error:  # since the cached check
                problems["store"] = str(error)
        notes = _notes(workers, deps.catalog.served_apps(), problems["blobs"]) if problems["store"] is None else []
        details = {
            "version": self._version,
            "checks": {name: problem or "ok" for name, problem in problems.items()},
            "workers": [
                {"kind": each.profile, "apps": each.apps, "ready": each.ready, "problem": each.problem}
                for each in workers
            ],
            "notes": notes,
        }
        return _health_response(problems, details)


async def _check_error(name: str, check: Callable[[], Awaitable[None]], throttle: LogThrottle) -> str | None:
    """The reason why `check` fails, which is also logged; None if it does not."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            await check()
    except OperationalError as error:
        reason = str(error)
    except TimeoutError:
        reason = f"No reply within {_CHECK_TIMEOUT:g} seconds."
    else:
        return None
    throttle.write(log.error, "health.check_failed", check=name, reason=reason)
    return reason


async def _check_store(store: Store) -> None:
    """
    Raises:
        StoreError: it cannot be read or written.
    """
    await store.check()
    await store.workers.live(store.clock.now())


def _health_response(problems: Mapping[str, str | None], details: Mapping[str, Any]) -> Response:
    is_ready = problems["store"] is None
    return json_response(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", **details})


async def _has_key(request: Request, deps: Dependencies) -> bool:
    """While the store is unavailable, a key counts that was valid at its last use."""
    try:
        async with asyncio.timeout(_KEY_TIMEOUT):
            await authenticate(deps, request.scope)
    except AuthenticationError:
        return False
    except (StoreError, TimeoutError):
        return deps.authenticator.is_cached(key_hash_of(request.scope))
    return True


def _notes(workers: list[WorkerHeartbeat], apps: Iterable[str], blob_store_error: str | None) -> list[str]:
    notes = []
    if not workers:
        notes.append("No worker is running: requests are accepted and wait. Start one with `pipelet worker`.")
    elif not any(worker.ready for worker in workers):
        notes.append("No worker is ready yet: requests are accepted and wait until one has loaded its model.")
    else:
        unserved = [app for app in apps if not any(worker.serves(app) for worker in workers)]
        notes += [f"No worker serves {app} at present: its requests are accepted and wait." for app in unserved]
    if blob_store_error is not None:
        notes.append("Files cannot be stored: requests are accepted, and finished images wait. See checks.blobs.")
    return notes
