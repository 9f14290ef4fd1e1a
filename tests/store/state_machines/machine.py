"""What the state machines of a store have in common."""

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from pipelet.domain.ports.store import Store
from tests.support import databases
from tests.support.servers.postgres import Server

T = TypeVar("T")


class StoreMachine(RuleBasedStateMachine):
    """Each run has an empty store, and a clock that only its rules move."""

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        self._loop, self.store = self.open_store()
        self.time = 1_000_000.0

    def open_store(self) -> tuple[asyncio.AbstractEventLoop, Store]:
        """With the event loop that it is used in."""
        folder = self.exits.enter_context(tempfile.TemporaryDirectory())
        return self.exits.enter_context(opened(databases.new_sqlite(Path(folder))()))

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(call)

    def teardown(self) -> None:
        self.exits.close()


@contextlib.contextmanager
def opened(store: AbstractAsyncContextManager[Store]) -> Iterator[tuple[asyncio.AbstractEventLoop, Store]]:
    """In an event loop of its own, which runs while calls do."""
    with asyncio.Runner() as runner:
        found = runner.run(store.__aenter__())
        try:
            yield runner.get_loop(), found
        finally:
            runner.run(store.__aexit__(None, None, None))


@contextlib.contextmanager
def on_postgresql(machine: type[StoreMachine], server: Server) -> Iterator[type[StoreMachine]]:
    """Yield the machine on PostgreSQL. One store serves all runs; each finds its database empty."""
    with databases.lent_postgres(server) as database, opened(database.open()) as shared:

        class OnPostgreSQL(machine):  # type: ignore[misc, valid-type]
            def open_store(self) -> tuple[asyncio.AbstractEventLoop, Store]:
                database.empty()
                return shared

        yield OnPostgreSQL
