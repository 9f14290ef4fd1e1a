"""Commands that work straight in the database: the service may run meanwhile, or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipelet import wiring
from pipelet.domain.errors import PipeletError
from pipelet.domain.job import Job
from pipelet.domain.ports import JobStore
from pipelet.settings import Settings

Result = TypeVar("Result")


class Refused(PipeletError):
    """What was asked for cannot be done; the message says what is in the way."""


def in_store(chosen: Settings, use: Callable[[JobStore], Awaitable[Result]]) -> Result:
    """
    Raises:
        StoreUnusable: the database is missing, cannot be reached, or is of another version.
    """

    async def with_store() -> Result:
        async with wiring.open_store(chosen) as store:
            return await use(store)

    return asyncio.run(with_store())


async def request_of(store: JobStore, request_id: str) -> Job:
    """
    Raises:
        Refused: there is none.
    """
    job = await store.get(request_id)
    if job is None:
        raise Refused(f"There is no request with the id {request_id}. It may have expired.")
    return job
