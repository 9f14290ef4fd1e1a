"""The newest request of a user through one API, as its clients watch and interrupt it without an id."""

from dataclasses import dataclass

from pipelet.domain.errors import NotFound
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from pipelet.services.requests.status import JobStatus, StatusReader


@dataclass(frozen=True, slots=True)
class NewestRequest:
    """
    Args:
        api: name of the API. The requests of others are not seen.
    """

    store: Store
    statuses: StatusReader
    api: str

    async def remember(self, job: Job) -> None:
        await self.store.newest_requests.set(job.user, self.api, job.id)

    async def load(self, user: str) -> JobStatus | None:
        """Return its status now; None if it has ended, or if there is none."""
        job_id = await self.store.newest_requests.get(user, self.api)
        if job_id is None:
            return None
        try:
            job = await self.statuses.get_job(job_id, user=user)
        except NotFound:
            return None
        return None if job.state.is_final else await self.statuses.load(job)

    async def interrupt(self, user: str) -> None:
        """Cancel it, whether it waits or runs."""
        found = await self.load(user)
        if found is not None:
            await self.store.jobs.cancel(found.job.id, self.store.clock.now(), running=True)
