"""What the state machines of a store have in common."""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from pipelet.domain.ports.store import Store
from tests.support import databases
from tests.support.servers.postgres import Server

T = TypeVar("T")


class StoreMachine(RuleBasedStateMachine):
    """Each run has a new store, its own event loop, and a clock that only its rules move."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self.exits = ExitStack()
        self.exits.callback(self._loop.close)
        opened = self.open_store()
        self.store = self.run(opened.__aenter__())
        self.exits.callback(lambda: self.run(opened.__aexit__(None, None, None)))
        self.time = 1_000_000.0

    def open_store(self) -> AbstractAsyncContextManager[Store]:
        folder = self.exits.enter_context(tempfile.TemporaryDirectory())
        return databases.new_sqlite(Path(folder))()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(call)

    def teardown(self) -> None:
        self.exits.close()


def on_postgresql(machine: type[StoreMachine], server: Server) -> type[StoreMachine]:
    """Return the machine on PostgreSQL, with an empty database for each run."""

    class OnPostgreSQL(machine):  # type: ignore[misc, valid-type]
        def open_store(self) -> AbstractAsyncContextManager[Store]:
            return self.exits.enter_context(databases.lent_postgres(server))()

    return OnPostgreSQL
