"""Keeps as many workers in the cluster as the goal and the queue ask for."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import Unusable
from pipelet.domain.ports import JobStore
from pipelet.fleet.demand import read_demand
from pipelet.fleet.moves import Condition, Moves, Place, moves
from pipelet.fleet.seats import Seats
from pipelet.fleet.sizing import Demand, Goal, Needs, needed

log = structlog.get_logger()

_TURN_SECONDS = 2.0
"""Between two looks."""
_MAX_BACKOFF = 30.0
_PAUSE_AFTER_FAILURE = 10.0
"""Seconds in which no new worker is placed, so that a place where none can live is not tried without end."""
_MOMENT = 0.2


class Fleet:
    """It remembers nothing that matters: whoever starts it again finds the workers in the cluster, and goes on."""

    def __init__(
        self, seats: Seats, *, store: JobStore, apps: Sequence[str], goal: Goal, why_alone: str | None
    ) -> None:
        """`why_alone` says why the workers must all be on this machine; None where they may be anywhere."""
        self._seats = seats
        self._store = store
        self._apps = apps
        self._goal = goal
        self._why_alone = why_alone
        self._needs = Needs()
        self._hands_off_until = 0.0
        self._stopping = asyncio.Event()
        self._throttle = LogThrottle()

    async def run(self) -> None:
        """Follow the queue until `stop`; returns when all workers have gone.

        Raises:
            Unusable: a worker could land on a machine where it finds neither our requests nor our files; or the queue
                cannot be read. Only at the start: later, both are logged, and nothing is moved meanwhile.
        """
        await self._look()
        backoff, pause = Backoff(initial=_TURN_SECONDS, maximum=_MAX_BACKOFF), _TURN_SECONDS
        while not await self._stopped_within(pause):
            try:
                await self._look()
            except Unusable as error:
                self._throttle.write(log.error, "fleet.stands_still", reason=str(error))
                pause = backoff.next()
            else:
                backoff.reset()
                pause = _TURN_SECONDS
        await self._drain()

    def stop(self) -> None:
        """Send all workers away; each finishes what it draws within the grace time. Called again: hands it back."""
        if self._stopping.is_set():
            self._seats.hurry()
        self._stopping.set()

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _look(self) -> None:
        """Once at the queue and at the cluster; then move towards what they ask for."""
        if self._why_alone and (others := await self._seats.other_machines()):
            raise Unusable(f"The cluster has more machines than this one ({', '.join(others)}): {self._why_alone}")
        now = self._store.clock.now()
        places = await self._seats.look()
        demand = await read_demand(self._store, self._apps, now)
        if not self._needs.seen:  # nobody is sent away by a fleet that has only just begun to watch
            self._needs = self._needs.then(min(len(places), self._goal.maximum), now=now, patience=self._goal.patience)
        self._needs = self._needs.then(needed(demand, self._goal), now=now, patience=self._goal.patience)
        self._tell_of_trouble(places, now)
        planned = moves(places, edition=self._seats.edition, wanted=self._needs.most, maximum=self._goal.maximum)
        await self._make(planned, demand, now)

    async def _make(self, planned: Moves, demand: Demand, now: float) -> None:
        asked = {"wanted": self._needs.most, "requests": demand.requests, "seconds": round(demand.seconds, 1)}
        for place in planned.clear:
            await self._seats.clear(place)
            log.info("fleet.worker_leaves", place=place.number, condition=place.condition, **asked)
        for number in planned.fill if now >= self._hands_off_until else ():
            await self._seats.fill(number)
            log.info("fleet.worker_comes", place=number, **asked)

    def _tell_of_trouble(self, places: Sequence[Place], now: float) -> None:
        lost = self._seats.lost()
        for number, reason in lost:
            log.error("fleet.worker_lost", place=number, reason=reason)
        for place in places:
            if place.trouble:
                self._throttle.write(log.error, "fleet.worker_in_trouble", place=place.number, reason=place.trouble)
        if lost or any(place.condition is Condition.BROKEN for place in places):
            self._hands_off_until = now + _PAUSE_AFTER_FAILURE

    async def _drain(self) -> None:
        while places := await self._seats.look():
            for place in places:
                if place.condition is not Condition.LEAVING:
                    await self._seats.clear(place)
            await asyncio.sleep(_MOMENT)
