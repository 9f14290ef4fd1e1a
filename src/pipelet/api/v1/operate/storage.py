"""How much the images take, and how much room there is."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.schemas import Output, iso_time
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.storage import Amount


class AppBytes(Output):
    app: str
    bytes: int


class UserBytes(Output):
    user: str
    bytes: int


class AgeBytes(Output):
    days: str = Field(description="Since the end of the request: `under 1`, `under 7`, `under 30` or `30 and more`.")
    bytes: int


class StorageBody(Output):
    sampled_at: str | None = Field(description="Once an hour; null before the first time, like the sums.")
    bytes: int | None = Field(description="Of all images of ended requests.")
    requests: int | None
    by_app: list[AppBytes]
    by_user: list[UserBytes] = Field(description="The 20 users with the most.")
    by_age: list[AgeBytes]
    free_bytes: int | None = Field(description="Room on the disk now; null if files are in a bucket.")
    retention_seconds: float


STORAGE = operation("Show storage", "Bytes of images by app, user and age, and the free room.", answer=StorageBody)


async def show_storage(request: Request, _: Caller) -> Response:
    report = await get_services(request).storage.load()
    sample = report.sample
    body = {
        "sampled_at": iso_time(report.sampled_at),
        "bytes": None if sample is None else sample.size,
        "requests": None if sample is None else sample.requests,
        "by_app": _amounts("app", [] if sample is None else sample.by_app),
        "by_user": _amounts("user", [] if sample is None else sample.by_user),
        "by_age": _amounts("days", [] if sample is None else sample.by_age),
        "free_bytes": report.free_bytes,
        "retention_seconds": report.retention_seconds,
    }
    return json_response(200, body)


def _amounts(name: str, amounts: list[Amount]) -> list[dict[str, Any]]:
    return [{name: each.name, "bytes": each.size} for each in amounts]
