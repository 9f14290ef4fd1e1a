"""Keeps the number of workers in the cluster that the policy and the queue require."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import OperationalError
from pipelet.domain.ports.store import Store
from pipelet.fleet.plan import Replica, ReplicaState, plan_scaling
from pipelet.fleet.policy import ScalingPolicy, StabilizationWindow, desired_workers, read_demand
from pipelet.fleet.ray_cluster import RayCluster

log = structlog.get_logger()

_POLL_INTERVAL = 2.0
_COOLDOWN_AFTER_FAILURE = 10.0
"""Seconds without new workers, so that a machine on which none can run is not tried without end."""
_DRAIN_POLL_INTERVAL = 0.2


@dataclass(kw_only=True, eq=False)
class Autoscaler:
    """Stateless: after a restart it rediscovers its workers in the cluster."""

    cluster: RayCluster
    store: Store
    apps: Sequence[str]
    policy: ScalingPolicy
    single_node_reason: str | None
    """Why all workers must be on this machine; None where they may be anywhere."""

    def __post_init__(self) -> None:
        self._window = StabilizationWindow(self.policy.scale_down_delay_seconds)
        self._cooldown_until = 0.0
        self._stopping = asyncio.Event()
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Follow the queue until `stop`; returns when all workers have exited.

        Raises:
            OperationalError: Ray could place a worker on a machine without access to the database and the files; or the
                queue cannot be read. Only at the start: later, both are logged, and nothing is scaled.
        """
        await self._reconcile()
        backoff, delay = Backoff(initial=_POLL_INTERVAL, maximum=30.0), _POLL_INTERVAL
        while not await wait_for_event(self._stopping, seconds=delay):
            try:
                await self._reconcile()
            except OperationalError as error:
                self._throttle.write(log.error, "fleet.reconcile_failed", reason=str(error))
                delay = backoff.next()
            else:
                backoff.reset()
                delay = _POLL_INTERVAL
        await self._drain()

    def stop(self) -> None:
        """Stop all workers; each finishes its requests within the grace time. Called again, it releases them."""
        if self._stopping.is_set():
            self.cluster.force_stop()
        self._stopping.set()

    async def _reconcile(self) -> None:
        """Read queue and cluster once, and start or stop workers."""
        if self.single_node_reason and (others := await self.cluster.other_machines()):
            raise OperationalError(
                f"The cluster has more machines than this one ({', '.join(others)}): {self.single_node_reason}"
            )
        now = self.store.clock.now()
        replicas = await self.cluster.list_replicas()
        demand = await read_demand(self.store, self.apps, now)
        if not self._window.seen:  # a fleet that has just started stops no worker
            self._window.add(min(len(replicas), self.policy.maximum), now=now)
        wanted = self._window.add(desired_workers(demand, self.policy), now=now)
        self._log_failures(replicas, now)
        start, stop = plan_scaling(
            replicas, config_hash=self.cluster.config_hash, wanted=wanted, maximum=self.policy.maximum
        )
        reason = {"wanted": wanted, "requests": demand.requests, "seconds": round(demand.seconds, 1)}
        for replica in stop:
            await self.cluster.stop_replica(replica)
            log.info("fleet.replica_stopped", replica=replica.number, state=replica.state, **reason)
        for number in start if now >= self._cooldown_until else ():
            await self.cluster.start_replica(number)
            log.info("fleet.replica_started", replica=number, **reason)

    def _log_failures(self, replicas: Sequence[Replica], now: float) -> None:
        lost = self.cluster.lost()
        for number, reason in lost:
            log.error("fleet.replica_lost", replica=number, reason=reason)
        for replica in replicas:
            if replica.problem:
                self._throttle.write(log.error, "fleet.replica_failed", replica=replica.number, reason=replica.problem)
        if lost or any(replica.state is ReplicaState.FAILED for replica in replicas):
            self._cooldown_until = now + _COOLDOWN_AFTER_FAILURE

    async def _drain(self) -> None:
        while replicas := await self.cluster.list_replicas():
            for replica in replicas:
                if replica.state is not ReplicaState.STOPPING:
                    await self.cluster.stop_replica(replica)
            await asyncio.sleep(_DRAIN_POLL_INTERVAL)
