"""Commands that work straight in the database: the service may run meanwhile, or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipelet import wiring
from pipelet.domain.ports import JobStore
from pipelet.settings import Settings

Result = TypeVar("Result")


def in_store(chosen: Settings, use: Callable[[JobStore], Awaitable[Result]]) -> Result:
    """
    Raises:
        StoreUnusable: the database is missing, cannot be reached, or is of another version.
    """

    async def with_store() -> Result:
        async with wiring.open_store(chosen) as store:
            return await use(store)

    return asyncio.run(with_store())
