"""Places for workers in a Ray cluster. The only file that imports Ray."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ray
import structlog
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError

import pipelet
from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import Unusable
from pipelet.fleet.moves import Condition, Place

log = structlog.get_logger()

_ANSWER_SECONDS = 2.0
"""A seat that says nothing for so long is taken for one that nobody sits on yet."""
_INITIAL_BACKOFF = 1.0
_MAX_BACKOFF = 15.0


class Crew(Protocol):
    """What a seat keeps: `worker/crew.py`, with one worker."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


OpenCrew = Callable[[], AbstractAsyncContextManager[Crew]]


@dataclass(frozen=True, slots=True)
class _Answer:
    leaving: bool
    trouble: str | None


class Seat:
    """An actor: it holds a GPU on the node that Ray chose, and keeps one worker process there until it is sent away.

    The worker is a process of its own, as everywhere: it gets signals, which an actor does not, may crash without the
    actor, and sees the GPU that Ray gave us through the `CUDA_VISIBLE_DEVICES` it inherits.
    """

    def __init__(self, open_crew: OpenCrew) -> None:
        self._open_crew = open_crew
        self._crew: Crew | None = None
        self._leaving = asyncio.Event()
        self._trouble: str | None = None
        self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        backoff, throttle = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF), LogThrottle()
        while not self._leaving.is_set():
            try:
                async with self._open_crew() as self._crew:
                    self._trouble = None
                    backoff.reset()
                    if not self._leaving.is_set():
                        await self._crew.run()
                        self._leaving.set()  # a crew ends when it was told to, and not only we can tell it
            except Unusable as error:  # such as a database that is away: somebody may mend it meanwhile
                self._trouble = str(error)
                throttle.write(log.error, "seat.unusable", reason=self._trouble)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._leaving.wait(), backoff.next())
        # An actor that is killed is not started again by Ray; one that just ended would be.
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    async def visit(self) -> _Answer:
        if self._keeping.done():
            self._keeping.result()  # raises what it came to grief on
        return _Answer(self._leaving.is_set(), self._trouble)

    async def leave(self) -> None:
        """Finish what is being drawn, then go. May be said again."""
        if not self._leaving.is_set():
            self._leaving.set()
            await self.hurry()

    async def hurry(self) -> None:
        """To one that is leaving: hand back what is being drawn."""
        if self._crew is not None:
            self._crew.stop()


class Seats:
    """All seats of one fleet, found by their names in a Ray namespace.

    They are detached: they outlive whoever made them, and are there for the next. A name can be taken once only, so two
    fleets cannot fill one place twice.
    """

    def __init__(self, open_crew: OpenCrew, *, resources: Mapping[str, float], edition: str) -> None:
        self.edition = edition
        self._open_crew = open_crew
        self._resources = resources
        self._handles: dict[str, Any] = {}
        self._visits: dict[str, asyncio.Future[_Answer]] = {}
        self._answered: set[str] = set()
        self._sent_away: set[str] = set()
        self._lost: list[tuple[int, str]] = []

    async def look(self) -> list[Place]:
        """Every place that is taken, by whichever edition."""
        for name in await asyncio.to_thread(ray.util.list_named_actors):
            if name not in self._handles:
                with contextlib.suppress(ValueError):  # it has gone meanwhile
                    self._handles[name] = await asyncio.to_thread(ray.get_actor, name)
        found = await asyncio.gather(*map(self._visit, list(self._handles)))
        return [place for place in found if place is not None]

    def lost(self) -> list[tuple[int, str]]:
        """Numbers of the places that were given up since this was last asked, each with the reason."""
        lost, self._lost = self._lost, []
        return lost

    async def _visit(self, name: str) -> Place | None:
        edition, _, number = name.rpartition("/")
        condition, trouble = Condition.WORKING, None
        try:
            answer = await self._ask(name)
        except ActorUnavailableError:
            self._answered.discard(name)
            condition = Condition.COMING
        except ActorDiedError as error:
            self._forget(name, str(error))
            return None
        except RayError as error:
            condition, trouble = Condition.BROKEN, str(error)
        else:
            if answer is not None:
                self._answered.add(name)
                condition, trouble = Condition.LEAVING if answer.leaving else condition, answer.trouble
            elif name not in self._answered:  # one that has answered before is busy, not missing
                condition = Condition.COMING
        return Place(int(number), edition, condition, trouble)

    async def _ask(self, name: str) -> _Answer | None:
        """None where it says nothing yet. It is asked once: what waits for a GPU all night must not find a thousand
        questions in the morning."""
        visit = self._visits.pop(name, None) or asyncio.ensure_future(self._handles[name].visit.remote())
        if not (await asyncio.wait([visit], timeout=_ANSWER_SECONDS))[0]:
            self._visits[name] = visit
            return None
        return visit.result()

    def _forget(self, name: str, reason: str) -> None:
        del self._handles[name]
        self._answered.discard(name)
        if name not in self._sent_away:
            self._lost.append((int(name.rpartition("/")[2]), reason))
        self._sent_away.discard(name)

    async def fill(self, number: int) -> None:
        """Ask Ray for one more worker. Where no GPU is free it waits for one, which Ray's autoscaler sees."""
        name, amounts = f"{self.edition}/{number}", dict(self._resources)
        actor = ray.remote(Seat).options(
            name=name,
            lifetime="detached",
            max_restarts=-1,
            num_cpus=amounts.pop("CPU", 0),
            num_gpus=amounts.pop("GPU", 0),
            resources=amounts,
        )
        try:
            self._handles[name] = await asyncio.to_thread(actor.remote, self._open_crew)
        except ValueError:
            log.warning("fleet.place_is_taken", place=number)

    async def clear(self, place: Place) -> None:
        """Let its worker finish what it draws and go. Where none is, Ray stops looking for a node."""
        name = f"{place.edition}/{place.number}"
        self._sent_away.add(name)
        if place.condition in (Condition.COMING, Condition.BROKEN):
            await asyncio.to_thread(ray.kill, self._handles[name], no_restart=True)
        else:
            self._handles[name].leave.remote()

    def hurry(self) -> None:
        for handle in self._handles.values():
            handle.hurry.remote()

    async def other_machines(self) -> list[str]:
        """Addresses, beside this machine's, where Ray might put a worker."""
        here = ray.util.get_node_ip_address()
        nodes = await asyncio.to_thread(ray.nodes)
        return sorted({node["NodeManagerAddress"] for node in nodes if self._could_take(node)} - {here})

    def _could_take(self, node: Mapping[str, Any]) -> bool:
        return bool(node["Alive"]) and self._resources.keys() <= node["Resources"].keys()


@contextlib.contextmanager
def connected(address: str, *, namespace: str) -> Iterator[None]:
    """A connection of this process to the cluster; two fleets that must not meet have different namespaces.

    Raises:
        Unusable: there is no cluster at `address`, or this machine is not part of it.
    """
    try:
        if address != "auto":
            _knock_at(address)
        # Ray puts the driver's working directory in front of the module path of every worker in the cluster.
        with contextlib.chdir(Path(pipelet.__file__).parent.parent):
            ray.init(
                address,
                namespace=namespace,
                log_to_driver=False,
                configure_logging=False,
                logging_level=logging.WARNING,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise Unusable(
            f"There is no Ray cluster to be reached at {address} ({error}). This machine must be one of its "
            "nodes: `ray start --head`, or `ray start --address=HEAD:6379` where another one is the head."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock_at(address: str) -> None:
    """Ray itself would try for more than a minute."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
