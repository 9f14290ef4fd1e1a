"""Users of a service that is being disturbed: they submit, poll, cancel and fetch, and note every broken promise.

The backend is the gradient, whose image follows from prompt, seed and size alone: an image that was
swapped, mixed up or cut is seen at once.
"""

import asyncio
import io
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

from tests.support.backends.gradient import gradient_image
from tests.support.jobs import APP, make_spec

_IN_FLIGHT = 9
_PATIENCE = 90.0
"""Seconds without a response after which a user gives up, and calls it a fault."""


@dataclass
class Report:
    disturbances: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    completed: int = 0
    """Ended with the images that were asked for."""
    cancelled: int = 0
    exhausted: int = 0
    """Failed because three attempts were lost: what is promised where that happens, and no more than that."""
    retried: int = 0
    """Requests that needed more than one attempt."""
    lost_answers: int = 0
    """Submits whose response was lost, or that were refused for the moment; they may or may not have been accepted."""
    faults: list[str] = field(default_factory=list)
    """Every way in which a promise was broken. Empty is the only good end."""

    @property
    def ended(self) -> int:
        return self.completed + self.cancelled + self.exhausted


class Users:
    """So many at once, each with one request after the other, through any of the APIs.

    Args:
        urls: of the APIs, which all response for the same queue.
        key: reads an API key of one user.
        cancels: share of requests that are cancelled soon after.
    """

    def __init__(
        self, urls: Sequence[str], key: Callable[[], str], rng: random.Random, report: Report, *, cancels: float = 0
    ) -> None:
        self.urls = urls
        self.key = key
        self.rng = rng
        self.report = report
        self.cancels = cancels
        self.leaving = asyncio.Event()
        self.progressed = asyncio.Event()
        """Set whenever a request ends."""
        self.results: dict[str, list[str]] = {}
        """File names by request."""
        self.endings: dict[str, int] = {}
        """The status code of the result that each request ended with."""

    async def run(self) -> None:
        """Submit and watch until `leaving` is set and every accepted request has ended."""
        async with httpx.AsyncClient(timeout=10) as self.client:
            await asyncio.gather(*(self._come_and_go() for _ in range(_IN_FLIGHT)))

    async def ask_again(self) -> None:
        """Whether everything that was reported is still so, whichever API is asked."""
        async with httpx.AsyncClient(timeout=10) as self.client:
            for request_id, code in self.endings.items():
                response = await self._ask("GET", f"/fal/queue/{APP}/requests/{request_id}")
                names = [image["file_name"] for image in response.json().get("images", [])]
                if (response.status_code, names) != (code, self.results.get(request_id, [])):
                    self.fault(f"{request_id}: ended with {code}, but is now {response.status_code}: {response.text}")

    def fault(self, text: str) -> None:
        self.report.faults.append(text)

    async def _come_and_go(self) -> None:
        while not self.leaving.is_set():
            body = {
                "prompt": f"request {self.rng.random()} sleep={self.rng.choice([0, 0.02, 0.1])}",
                "width": self.rng.randint(64, 160),
                "height": self.rng.randint(64, 160),
                "batch_size": self.rng.choice([1, 1, 2, 3]),
                "seed": self.rng.randrange(2**32),
                "priority": 0,
            }
            request_id = await self._submit(body)
            if request_id is None:
                await asyncio.sleep(0.05)
                continue
            self.report.accepted += 1
            try:
                await self._follow(request_id, body)
            except TimeoutError:
                self.fault(f"{request_id}: no end after {_PATIENCE:g} s")
            self.progressed.set()

    async def _submit(self, body: dict[str, Any]) -> str | None:
        try:
            response = await self.client.post(
                f"{self.rng.choice(self.urls)}/fal/queue/{APP}", json=body, headers=self._headers()
            )
        except httpx.ConnectError:  # nothing was sent; a load balancer would go to the next one
            return None
        except httpx.TransportError:
            self.report.lost_answers += 1
            return None
        if response.status_code == 503 and "retry-after" in response.headers:
            self.report.lost_answers += 1
            return None
        if response.status_code != 200:
            self.fault(f"submit responded with {response.status_code}: {response.text}")
            return None
        return str(response.json()["request_id"])

    async def _follow(self, request_id: str, body: dict[str, Any]) -> None:
        path = f"/fal/queue/{APP}/requests/{request_id}"
        is_cancelled = self.rng.random() < self.cancels and await self._cancel(path)
        async with asyncio.timeout(_PATIENCE):
            while True:
                status = await self._ask("GET", f"{path}/status")
                if status.status_code not in (200, 202):
                    self.fault(f"{request_id}: status responded with {status.status_code}: {status.text}")
                    return
                state = status.json()["status"]
                if is_cancelled and state != "COMPLETED":
                    self.fault(f"{request_id}: was cancelled, and is {state}")
                if state == "COMPLETED":
                    break
                await asyncio.sleep(0.1)
            result = await self._ask("GET", path)
        await self._judge(request_id, body, result, is_cancelled=is_cancelled)

    async def _cancel(self, path: str) -> bool:
        await asyncio.sleep(self.rng.uniform(0, 0.05))
        response = await self._ask("PUT", f"{path}/cancel")
        if response.status_code not in (202, 400):
            self.fault(f"{path}: cancel responded with {response.status_code}: {response.text}")
        return response.status_code == 202

    async def _judge(
        self, request_id: str, body: dict[str, Any], result: httpx.Response, *, is_cancelled: bool
    ) -> None:
        self.endings[request_id] = result.status_code
        if is_cancelled or result.status_code == 499:
            if (is_cancelled, result.status_code) != (True, 499):
                self.fault(f"{request_id}: cancelled is {is_cancelled}, and it ended with {result.status_code}")
            self.report.cancelled += 1
        elif result.status_code == 200:
            images = result.json()["images"]
            self.results[request_id] = [image["file_name"] for image in images]
            await self._compare(request_id, body, images)
            self.report.completed += 1
        elif "3 times" in result.text:
            self.report.exhausted += 1
        else:
            self.fault(f"{request_id}: {result.status_code} {result.text}")

    async def _compare(self, request_id: str, body: dict[str, Any], images: list[dict[str, Any]]) -> None:
        if len(images) != body["batch_size"]:
            self.fault(f"{request_id}: {len(images)} images instead of {body['batch_size']}")
        spec = make_spec(prompt=body["prompt"], width=body["width"], height=body["height"])
        for number, image in enumerate(images):
            file = await self._persist(partial(self.client.get, image["url"]), while_away=(500, 502, 503))
            if file.status_code != 200:
                self.fault(f"{request_id}: a file responded with {file.status_code}")
                continue
            pixels = np.asarray(Image.open(io.BytesIO(file.content)))
            if not np.array_equal(pixels, gradient_image(spec, body["seed"] + number)):
                self.fault(f"{request_id}: image {number} is not the image that was requested")

    async def _ask(self, method: str, path: str) -> httpx.Response:
        """Any of the APIs, the next time another one."""
        return await self._persist(
            lambda: self.client.request(method, self.rng.choice(self.urls) + path, headers=self._headers())
        )

    async def _persist(
        self, send: Callable[[], Awaitable[httpx.Response]], *, while_away: Sequence[int] = (503,)
    ) -> httpx.Response:
        """Retry as a patient client does, while the service is unreachable or unavailable."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    response = await send()
                except httpx.TransportError:
                    pass
                else:
                    if response.status_code not in while_away:
                        return response
                await asyncio.sleep(0.05)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key()}"}
