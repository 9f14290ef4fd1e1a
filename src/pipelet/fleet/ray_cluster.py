"""Workers as detached actors in a Ray cluster. The only file that imports Ray."""

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
from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import OperationalError
from pipelet.fleet.plan import Replica, ReplicaState

log = structlog.get_logger()

_PING_TIMEOUT = 2.0
"""Seconds after which an actor that does not respond counts as not started."""


class WorkerSupervisor(Protocol):
    """`worker/supervisor.py`, with one worker."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


OpenSupervisor = Callable[[], AbstractAsyncContextManager[WorkerSupervisor]]


@dataclass(frozen=True, slots=True)
class _Ping:
    stopping: bool
    problem: str | None


class WorkerActor:
    """Holds a GPU on the node that Ray chose, and supervises one worker process there until it is stopped.

    The worker is its own process, as everywhere: it receives signals, which an actor does not, may crash without the
    actor, and inherits `CUDA_VISIBLE_DEVICES`, which names the GPU that Ray assigned.
    """

    def __init__(self, open_supervisor: OpenSupervisor) -> None:
        self._open_supervisor = open_supervisor
        self._supervisor: WorkerSupervisor | None = None
        self._stopping = asyncio.Event()
        self._error: str | None = None
        self._supervising = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        backoff, throttle = Backoff(initial=1.0, maximum=15.0), LogThrottle()
        while not self._stopping.is_set():
            try:
                async with self._open_supervisor() as self._supervisor:
                    self._error = None
                    backoff.reset()
                    if not self._stopping.is_set():
                        await self._supervisor.run()
                        self._stopping.set()  # a supervisor returns when it was stopped, also by others
            except OperationalError as error:  # such as an unavailable database: retry until it is back
                self._error = str(error)
                throttle.write(log.error, "replica.start_failed", reason=self._error)
                await wait_for_event(self._stopping, seconds=backoff.next())
        # Ray restarts an actor that returns, and not one that is killed.
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    async def ping(self) -> _Ping:
        if self._supervising.done():
            self._supervising.result()  # re-raise the error that ended the actor
        return _Ping(self._stopping.is_set(), self._error)

    async def stop(self) -> None:
        """Finish running requests, then exit. Safe to call twice."""
        if not self._stopping.is_set():
            self._stopping.set()
            await self.force_stop()

    async def force_stop(self) -> None:
        """Release the running requests of a worker that is stopping."""
        if self._supervisor is not None:
            self._supervisor.stop()


@dataclass(slots=True)
class _Actor:
    handle: Any
    ping: asyncio.Future[_Ping] | None = None
    """The ping that is under way. There is one at a time: an actor that waits for a GPU all night must not find a
    thousand of them in the morning."""
    has_responded: bool = False
    was_stopped: bool = False


class RayCluster:
    """All worker actors of one fleet, found by their names in a Ray namespace.

    They are detached: they outlive the fleet process, and a restarted one finds them. A name is unique, so two fleet
    processes cannot start the same replica twice.
    """

    def __init__(self, open_supervisor: OpenSupervisor, *, resources: Mapping[str, float], config_hash: str) -> None:
        self.config_hash = config_hash
        self._open_supervisor = open_supervisor
        self._resources = resources
        self._actors: dict[str, _Actor] = {}
        self._lost: list[tuple[int, str]] = []

    async def list_replicas(self) -> list[Replica]:
        """Return every replica in the cluster, whatever its configuration."""
        for name in await asyncio.to_thread(ray.util.list_named_actors):
            if name not in self._actors:
                with contextlib.suppress(ValueError):  # it has just exited
                    self._actors[name] = _Actor(await asyncio.to_thread(ray.get_actor, name))
        found = await asyncio.gather(*map(self._read_replica, list(self._actors)))
        return [replica for replica in found if replica is not None]

    def lost(self) -> list[tuple[int, str]]:
        """Return the numbers of the replicas lost since the last call, each with the reason."""
        lost, self._lost = self._lost, []
        return lost

    async def _read_replica(self, name: str) -> Replica | None:
        actor = self._actors[name]
        config_hash, _, number = name.rpartition("/")
        state, problem = ReplicaState.RUNNING, None
        try:
            ping = await _ping(actor)
        except ActorUnavailableError:
            actor.has_responded = False
            state = ReplicaState.STARTING
        except ActorDiedError as error:
            del self._actors[name]
            if not actor.was_stopped:
                self._lost.append((int(number), str(error)))
            return None
        except RayError as error:
            state, problem = ReplicaState.FAILED, str(error)
        else:
            if ping is not None:
                actor.has_responded = True
                state, problem = ReplicaState.STOPPING if ping.stopping else state, ping.problem
            elif not actor.has_responded:  # one that has responded before is busy, not missing
                state = ReplicaState.STARTING
        return Replica(int(number), config_hash, state, problem)

    async def start_replica(self, number: int) -> None:
        """Start a worker. If no GPU is free it waits for one, which Ray's autoscaler notices."""
        name, amounts = f"{self.config_hash}/{number}", dict(self._resources)
        actor = ray.remote(WorkerActor).options(
            name=name,
            lifetime="detached",
            max_restarts=-1,
            num_cpus=amounts.pop("CPU", 0),
            num_gpus=amounts.pop("GPU", 0),
            resources=amounts,
        )
        try:
            self._actors[name] = _Actor(await asyncio.to_thread(actor.remote, self._open_supervisor))
        except ValueError:
            log.warning("fleet.replica_exists", replica=number)

    async def stop_replica(self, replica: Replica) -> None:
        """Let its worker finish and exit. If it has not started, Ray stops looking for a node."""
        actor = self._actors[f"{replica.config_hash}/{replica.number}"]
        actor.was_stopped = True
        if replica.state in (ReplicaState.STARTING, ReplicaState.FAILED):
            await asyncio.to_thread(ray.kill, actor.handle, no_restart=True)
        else:
            actor.handle.stop.remote()

    def force_stop(self) -> None:
        for actor in self._actors.values():
            actor.handle.force_stop.remote()

    async def other_machines(self) -> list[str]:
        """Return the addresses of other machines on which Ray could place a worker."""
        here = ray.util.get_node_ip_address()
        alive = [node for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
        suitable = [node for node in alive if self._resources.keys() <= node["Resources"].keys()]
        return sorted({node["NodeManagerAddress"] for node in suitable} - {here})


async def _ping(actor: _Actor) -> _Ping | None:
    """Return None if it does not respond yet."""
    ping = actor.ping or asyncio.ensure_future(actor.handle.ping.remote())
    responded, _ = await asyncio.wait([ping], timeout=_PING_TIMEOUT)
    actor.ping = None if responded else ping
    return ping.result() if responded else None


@contextlib.contextmanager
def connected(address: str, *, namespace: str) -> Iterator[None]:
    """Connect this process to the cluster; independent fleets have different namespaces.

    Raises:
        OperationalError: there is no cluster at `address`, or this machine is not one of its nodes.
    """
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            # Fail early: Ray itself would retry for more than a minute.
            socket.create_connection((host, int(port)), timeout=5).close()
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
        raise OperationalError(
            f"No Ray cluster can be reached at {address} ({error}). Make this machine one of its nodes: "
            "`ray start --head`, or `ray start --address=HEAD:6379` if another machine is the head."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
