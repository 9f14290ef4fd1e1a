"""Commands that work straight in the database: the service may run meanwhile, or not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipelet import wiring
from pipelet.domain.errors import PipeletError
from pipelet.domain.job import Job
from pipelet.domain.keys import ApiKey, hash_secret, looks_like_key
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


async def key_called(store: JobStore, text: str) -> ApiKey:
    """The key of this id or of this text, or the one valid key of this name or user.

    Raises:
        Refused: there is none, or there are several.
    """
    if looks_like_key(text):  # such as one that was found where it should not be
        leaked = await store.find_key(hash_secret(text))
        if leaked is None:
            raise Refused("This key is not known here. See `pipelet keys list`.")
        return leaked
    keys, now = await store.keys(), store.clock.now()
    if found := [key for key in keys if key.id == text]:
        return found[0]
    named = [key for key in keys if text in (key.name, key.user)]
    valid = [key for key in named if key.refusal(now) is None]
    if len(valid) == 1:
        return valid[0]
    if not named:
        raise Refused(f"There is no key with the id, the name or the user {text}. See `pipelet keys list`.")
    listed = ", ".join(f"{key.id} ({key.name}, user {key.user})" for key in valid or named)
    state = "Several keys have" if valid else "No valid key has"
    raise Refused(f"{state} the name or the user {text}. Name one by its id: {listed}.")
