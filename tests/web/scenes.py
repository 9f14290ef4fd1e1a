"""The screens of the page, and users whose requests fill them."""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.request import Request, urlopen

from tests.support.browsers.accounts import Account
from tests.support.jobs import APP
from tests.support.service import Service
from tests.support.waiting import eventually

EVERY_SCOPE = ("generate", "observe", "operate", "keys", "content")
SCREENS: Mapping[str, str] = {
    "generate": "#/",
    "edit": "#/?app=z-image-image-edit",
    "request": "#/requests/{done}",
    "request-running": "#/requests/{running}",
    "request-waiting": "#/requests/{waiting}",
    "request-failed": "#/requests/{failed}",
    "request-unknown": "#/requests/nothingofthiskindhere",
    "unknown": "#/nowhere",
    "compare": "#/compare/{done}/{other}",
    "history": "#/history",
    "usage": "#/usage",
    "operate": "#/operate",
    "operate-requests": "#/operate/requests",
    "operate-failures": "#/operate/failures",
    "operate-workers": "#/operate/workers",
    "operate-unknown": "#/operate/nowhere",
    "operate-keys": "#/operate/keys",
    "operate-key": "#/operate/keys/{key}",
    "operate-webhooks": "#/operate/webhooks",
    "operate-storage": "#/operate/storage",
    "operate-audit": "#/operate/audit",
    "operate-system": "#/operate/system",
}
PROMPTS = (
    "an owl on a teal background",
    "a red apple on a light blue background",
    "a penguin on an orange background",
    "a rocket on a black background",
    "a lemon and a tomato on a blue background",
    "a ghost in the bottom left corner",
)


def addresses(ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and address of each screen that needs no other ids than these."""
    for name, address in SCREENS.items():
        if set(re.findall(r"{(\w+)}", address)) <= ids.keys():
            yield name, f"/ui/{address.format_map(ids)}"


def finish_some(service: Service, account: Account, *, count: int = len(PROMPTS), side: int = 256) -> dict[str, str]:
    """Ids of requests that have ended, by the names that the addresses of `SCREENS` have for them.

    Args:
        side: of the images, in pixels.
    """
    done = [
        _submit(service, account, prompt, side=side, batch_size=2 - min(number, 1))
        for number, prompt in enumerate(PROMPTS[:count])
    ]
    for request_id in done:
        eventually(lambda: _state(service, account, request_id) == "succeeded", within=120)  # noqa: B023 - called at once
    return {"done": done[0], "other": done[1], "key": account.key_id}


def start_some(service: Service, account: Account, *, side: int = 256) -> dict[str, str]:
    """As `finish_some`, of requests that run or wait while the engine stands still, or have not begun in time."""
    running = _submit(service, account, "a fox between two trees", side=side)
    eventually(lambda: _state(service, account, running) == "running")
    waiting = [_submit(service, account, f"a cat above {number} dogs", side=side) for number in (2, 3, 4)]
    cancelled, failed = _submit(service, account, "a mistake"), _submit(service, account, "too late", seconds=1)
    service.call("POST", "/api/v1/requests/cancel", {"ids": [cancelled]}, key=account.key)
    eventually(lambda: _state(service, account, failed) == "failed")
    return {"running": running, "waiting": waiting[-1], "failed": failed}


def _submit(
    service: Service, account: Account, prompt: str, *, side: int = 256, seconds: int = 0, **fields: object
) -> str:
    body = {"prompt": prompt, "width": side, "height": side, **fields}
    headers = {"Authorization": f"Bearer {account.key}", "Content-Type": "application/json"}
    if seconds:
        headers["X-Fal-Request-Timeout"] = str(seconds)
    request = Request(f"{service.url}/fal/queue/{APP}", json.dumps(body).encode(), headers)
    with urlopen(request) as response:
        return str(json.load(response)["request_id"])


def _state(service: Service, account: Account, request_id: str) -> str:
    return str(service.call("GET", f"/api/v1/requests/{request_id}", key=account.key)[1]["state"])
