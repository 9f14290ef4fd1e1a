"""Requests for features that an older version may not know, sent to a newer API while older processes still run."""

import asyncio
import io
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image
from tests.support.backends.gradient import gradient_image, show
from tests.support.images import data_uri, png
from tests.support.jobs import APP, make_spec
from tests.support.users import Users
from tests.webhooks.receiver import Receiver

EDIT = "z-image-image-edit"
_WIDTH, _HEIGHT = 96, 64
_RED = data_uri(png((_WIDTH, _HEIGHT), "red"))
_TIMEOUT = 60.0
_POLL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    name: str
    app: str = APP
    fields: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    endings: frozenset[int] = frozenset({200})
    """Status codes of the result that keep the guarantee."""
    sleep: float = 0.0
    """Seconds that each of eight steps takes."""
    is_cancelled: bool = False
    """It is cancelled as soon as it runs."""
    is_replay: bool = False
    """It is submitted twice under one `Idempotency-Key`."""


@dataclass(frozen=True, slots=True)
class Sent:
    kind: Kind
    id: str
    prompt: str
    seed: int


def kinds(hook: str) -> tuple[Kind, ...]:
    """Return one request of each kind; `hook` is the URL of an endpoint for webhooks."""
    return (
        Kind(name="edit", app=EDIT, fields={"image_urls": [_RED]}),
        Kind(name="late deadline", headers={"X-Fal-Request-Start-Timeout": "600"}),
        Kind(name="early deadline", headers={"X-Fal-Request-Start-Timeout": "0.2"}, endings=frozenset({200, 504})),
        Kind(name="cancel of running", sleep=0.2, endings=frozenset({200, 499}), is_cancelled=True),
        Kind(name="webhook", query=f"?fal_webhook={hook}"),
        Kind(name="input not kept", headers={"X-Fal-Store-IO": "0"}),
        Kind(name="key sent twice", is_replay=True),
    )


class NewerRequests:
    """Sends the requests and records their outcomes with `users`, whose invariants are checked afterwards.

    Args:
        newer: URL of the API that accepts them.
        older: URL of an API that is asked for their status.
        users: users of the same API key.
    """

    def __init__(self, newer: str, older: str, users: Users, receiver: Receiver) -> None:
        self._newer = newer
        self._older = older
        self._users = users
        self._receiver = receiver
        self._client = httpx.AsyncClient(timeout=10, headers={"Authorization": f"Bearer {users.key()}"})
        self.sent: list[Sent] = []
        self.known_to_older = 0
        """How often an older API returned the status of one."""
        self.waited: list[Sent] = []

    async def submit(self, *, ask_older: bool = True) -> None:
        """Submit one request of each kind."""
        fresh = [await self._submit(kind) for kind in kinds(self._receiver.url)]
        for sent in fresh if ask_older else ():
            # After an unexpected error a server closes the connection.
            response = await self._client.get(f"{self._older}{_path(sent)}/status", headers={"Connection": "close"})
            if response.status_code in (200, 202):
                self.known_to_older += 1
            else:
                self._fault(sent, f"the older API returns {response.status_code}: {response.text}")
        await asyncio.gather(*(self._cancel_once_running(sent) for sent in fresh if sent.kind.is_cancelled))

    async def _submit(self, kind: Kind) -> Sent:
        seed = len(self.sent)
        prompt = f"{kind.name} {seed} sleep={kind.sleep}"
        body = {"prompt": prompt, "width": _WIDTH, "height": _HEIGHT, "seed": seed, "priority": 0, **kind.fields}
        headers = kind.headers | ({"Idempotency-Key": prompt.replace(" ", "-")} if kind.is_replay else {})
        ids = set()
        for _ in range(2 if kind.is_replay else 1):
            url = f"{self._newer}/fal/queue/{kind.app}{kind.query}"
            response = await self._client.post(url, json=body, headers=headers)
            response.raise_for_status()
            ids.add(response.json()["request_id"])
        sent = Sent(kind, ids.pop(), prompt, seed)
        if ids:
            self._fault(sent, f"the same key made {ids}, too")
        self._users.report.accepted += 1
        self.sent.append(sent)
        return sent

    async def _cancel_once_running(self, sent: Sent) -> None:
        await self._until(sent, "IN_PROGRESS", "COMPLETED")
        await self._client.put(f"{self._newer}{_path(sent)}/cancel?in_progress=true")

    async def note_waiting(self) -> None:
        """Note which of the requests so far are still queued."""
        for sent in self.sent:
            if (await self._status(sent))["status"] == "IN_QUEUE":
                self.waited.append(sent)

    async def check_results(self) -> None:
        """Check the results of all requests, and their webhooks."""
        for sent in self.sent:
            await self._until(sent, "COMPLETED")
            await self._judge(sent, await self._client.get(f"{self._newer}{_path(sent)}"))
        await self._await_webhooks({sent.id for sent in self.sent if sent.kind.query})
        await self._client.aclose()

    async def _judge(self, sent: Sent, result: httpx.Response) -> None:
        body, report = result.json(), self._users.report
        self._users.endings[sent.id] = result.status_code
        self._users.results[sent.id] = [image["file_name"] for image in body.get("images", [])]
        if result.status_code not in sent.kind.endings:
            self._fault(sent, f"ended with {result.status_code}: {result.text}")
        if result.status_code == 499:
            report.cancelled += 1
            return
        report.completed += 1
        if result.status_code != 200:
            return
        if sent.kind.headers.get("X-Fal-Store-IO") == "0" and body["prompt"]:
            self._fault(sent, "its input was kept")
        file = await self._client.get(body["images"][0]["url"])
        if not np.array_equal(np.asarray(Image.open(io.BytesIO(file.content))), _expected(sent)):
            self._fault(sent, "is not the requested image")

    async def _await_webhooks(self, missing: set[str]) -> None:
        """Wait for the webhooks: one may come twice, and none may report a failure."""
        while missing:
            try:
                message = (await self._receiver.next_call()).message
            except TimeoutError:
                self._users.fault(f"no webhook came for {sorted(missing)}")
                return
            missing.discard(message["request_id"])
            if message["status"] != "OK":
                self._users.fault(f"{message['request_id']}: its webhook says {message}")

    async def _until(self, sent: Sent, *states: str) -> None:
        deadline = time.monotonic() + _TIMEOUT
        while (status := (await self._status(sent))["status"]) not in states:
            if time.monotonic() > deadline:
                self._fault(sent, f"is {status} after {_TIMEOUT:g} s")
                return
            await asyncio.sleep(_POLL)

    async def _status(self, sent: Sent) -> dict[str, Any]:
        response = await self._client.get(f"{self._newer}{_path(sent)}/status")
        return dict(response.raise_for_status().json())

    def _fault(self, sent: Sent, text: str) -> None:
        self._users.fault(f"{sent.id} ({sent.kind.name}): {text}")


def _path(sent: Sent) -> str:
    return f"/fal/queue/{sent.kind.app}/requests/{sent.id}"


def _expected(sent: Sent) -> np.ndarray[Any, Any]:
    pixels = gradient_image(make_spec(prompt=sent.prompt, width=_WIDTH, height=_HEIGHT), sent.seed)
    if sent.kind.app == EDIT:
        show([np.full((_HEIGHT, _WIDTH, 3), (255, 0, 0), np.uint8)], pixels)
    return pixels
