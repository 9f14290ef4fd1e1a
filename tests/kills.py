"""Kills parts of a running service at random moments, and watches from outside that nothing is lost, doubled or wrong.

The painter is the gradient of the zoo, whose picture follows from prompt, seed and size alone: a picture that was
swapped, mixed up or cut is seen at once. Everything else is real: the service, its processes, its database, its files.
"""

import asyncio
import contextlib
import io
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2 as httpx
import numpy as np
from PIL import Image

from tests.engine.zoo.gradient import picture
from tests.jobs import APP, make_spec
from tests.service import Service, eventually

VICTIMS = ("engine", "worker", "api", "all")
_IN_FLIGHT = 6


@dataclass
class Report:
    kills: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    completed: int = 0
    retried: int = 0
    """Requests that needed more than one attempt."""
    lost_answers: int = 0
    """Submits whose answer was lost with the API; they may or may not have been accepted."""
    faults: list[str] = field(default_factory=list)
    """Every way in which a promise was broken. Empty is the only good end."""


async def kill_at_random(
    service: Service, *, kills: int, seed: int, tell: Callable[[Report], None] | None = None
) -> Report:
    """`service` has been started, with short leases. Ends when all kills are made and every accepted request ended."""
    scene = _Scene(service, random.Random(seed), tell)
    async with httpx.AsyncClient(timeout=10) as client:
        scene.client = client
        submitting = [asyncio.create_task(scene.submit_and_watch()) for _ in range(_IN_FLIGHT)]
        await scene.kill(kills)
        scene.ending.set()
        await asyncio.gather(*submitting)
    # The worker of an API that was killed last may still be finishing; it ends by itself, and is no leftover.
    await asyncio.to_thread(eventually, lambda: len(service.worker_pids()) <= 1, within=60)
    await asyncio.to_thread(service.stop)
    await scene.inspect_what_is_left()
    return scene.report


class _Scene:
    client: httpx.AsyncClient

    def __init__(self, service: Service, rng: random.Random, tell: Callable[[Report], None] | None) -> None:
        self.service = service
        self.rng = rng
        self.tell = tell
        self.report = Report()
        self.ending = asyncio.Event()
        self.progressed = asyncio.Event()
        self.results: dict[str, list[str]] = {}

    # -- the killer --------------------------------------------------------------------------------------------------

    async def kill(self, kills: int) -> None:
        for _ in range(kills):
            # Between two kills at least one request ends, so that no request can be hit three times and rightly fail.
            self.progressed.clear()
            await asyncio.wait_for(self.progressed.wait(), timeout=60)
            await asyncio.sleep(self.rng.uniform(0, 0.4))
            victim = self.rng.choice(VICTIMS)
            await asyncio.to_thread(self.kill_one, victim)
            self.report.kills[victim] += 1
            if self.tell:
                self.tell(self.report)

    def kill_one(self, victim: str) -> None:
        match victim:
            case "engine":
                _kill_any(self.service.engine_pids())
            case "worker":
                _kill_any(self.service.worker_pids())
            case "api":
                self.service.kill_main()
                self.service.start()
            case "all":
                self.service.kill()
                self.service.start()

    # -- the users ---------------------------------------------------------------------------------------------------

    async def submit_and_watch(self) -> None:
        while not self.ending.is_set():
            body = {
                "prompt": f"request {self.rng.random()} sleep={self.rng.choice([0, 0.005, 0.02])}",
                "width": self.rng.randint(64, 160),
                "height": self.rng.randint(64, 160),
                "batch_size": self.rng.choice([1, 1, 2, 3]),
                "seed": self.rng.randrange(2**32),
                "priority": 0,
            }
            try:
                answer = await self.client.post(
                    f"{self.service.url}/fal/queue/{APP}", json=body, headers=self.headers()
                )
            except httpx.TransportError:
                self.report.lost_answers += 1
                await asyncio.sleep(0.05)
                continue
            if answer.status_code != 200:
                self.fault(f"submit answered {answer.status_code}: {answer.text}")
                continue
            self.report.accepted += 1
            await self.watch(answer.json()["request_id"], body)

    async def watch(self, request_id: str, body: dict[str, Any]) -> None:
        path = f"/fal/queue/{APP}/requests/{request_id}"
        while True:
            status = await self.get(f"{path}/status")
            if status.status_code not in (200, 202):
                self.fault(f"{request_id}: status answered {status.status_code}: {status.text}")
                return
            if status.json()["status"] == "COMPLETED":
                break
            await asyncio.sleep(0.03)
        result = await self.get(path)
        if result.status_code != 200:
            self.fault(f"{request_id}: {result.status_code} {result.text}")
            return
        images = result.json()["images"]
        self.results[request_id] = [image["file_name"] for image in images]
        await self.compare(request_id, body, images)
        self.report.completed += 1
        self.progressed.set()

    async def compare(self, request_id: str, body: dict[str, Any], images: list[dict[str, Any]]) -> None:
        if len(images) != body["batch_size"]:
            self.fault(f"{request_id}: {len(images)} images instead of {body['batch_size']}")
        spec = make_spec(prompt=body["prompt"], width=body["width"], height=body["height"])
        for number, image in enumerate(images):
            file = await self.get("/files/" + image["url"].partition("/files/")[2])
            if file.status_code != 200:
                self.fault(f"{request_id}: a file answered {file.status_code}")
                continue
            pixels = np.asarray(Image.open(io.BytesIO(file.content)))
            if not np.array_equal(pixels, picture(spec, body["seed"] + number)):
                self.fault(f"{request_id}: image {number} is not the picture that was asked for")

    async def get(self, path: str) -> httpx.Response:
        """What a patient client does: ask again while the service is away."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.client.get(self.service.url + path, headers=self.headers())
                except httpx.TransportError:
                    await asyncio.sleep(0.05)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.service.key}"}

    # -- afterwards --------------------------------------------------------------------------------------------------

    async def inspect_what_is_left(self) -> None:
        """The books: every request ended once, and every file belongs to a result or is marked for deletion."""
        jobs = await self.look_up("SELECT id, state, attempt FROM job")
        finished = await self.look_up("SELECT job_id FROM job_log WHERE message LIKE 'Finished%'")
        ends = Counter(job_id for (job_id,) in finished)
        noted = {key for (key,) in await self.look_up("SELECT key FROM file")}
        self.report.retried = sum(attempt > 1 for _, _, attempt in jobs)
        states = {request_id: (state, ends[request_id]) for request_id, state, _ in jobs}
        for request_id in self.results:
            if states.get(request_id) != ("succeeded", 1):
                self.fault(f"{request_id}: answered as finished, in the database {states.get(request_id)}")
        for request_id, (state, _) in states.items():
            if state not in ("succeeded", "queued"):  # queued: its answer was lost with the API, and the end came first
                self.fault(f"{request_id}: ended as {state}")
        self.check_files(noted)

    async def look_up(self, query: str) -> list[tuple[Any, ...]]:
        """In the service's database, past the service."""
        url = self.service.settings.get("database_url")
        if url is None:
            with contextlib.closing(sqlite3.connect(self.service.data_dir / "pipelet.sqlite")) as embedded:
                return embedded.execute(query).fetchall()
        shared = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await shared.fetch(query)]
        finally:
            await shared.close()

    def check_files(self, noted: set[str]) -> None:
        folder = self.service.data_dir / "files"
        there = {str(path.relative_to(folder)) for path in (folder / "outputs").rglob("*") if path.is_file()}
        for key in there - noted:
            self.fault(f"{key}: a file that nobody knows of")
        names = {key.rpartition("/")[2] for key in there}
        for request_id, files in self.results.items():
            for missing in set(files) - names:
                self.fault(f"{request_id}: {missing} is missing")

    def fault(self, text: str) -> None:
        self.report.faults.append(text)


def _kill_any(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
