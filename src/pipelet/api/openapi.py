"""The OpenAPI document: its introduction, and the ways to send a key."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

ABOUT = """Image generation behind fal's queue API: submit, poll `status_url` until `COMPLETED`, read `response_url`.

Next to it, OpenAI's Images API under `/v1`, and Pipelet's own under `/api/v1`: your requests, apps and usage, and the
operator's view.

Every error body has `detail` and `message`. A request is found under every app's path: its id alone identifies it."""

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <key>`"},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Authorization: Key <key>`, as fal's clients send it",
    },
}


class Shape(BaseModel):
    """A body in the document, built when the document is first read: the start of the API does not wait for it."""

    model_config = ConfigDict(defer_build=True)


def error_responses(shape: type[BaseModel], **by_status: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an error. Statuses begin with a letter: `e404="No such request."`."""
    return {int(status[1:]): {"model": shape, "description": meaning} for status, meaning in by_status.items()}


def describe(app: FastAPI, routes: Callable[[], Iterable[APIRoute]]) -> None:
    """Generate the document of `routes` when it is first read: it takes a tenth of the time of a start.

    It names the security schemes, too.
    """
    generate = app.openapi

    def with_security() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.router.routes += routes()  # after all others, so that no request reaches them
        document = generate()
        document["components"]["securitySchemes"] = _SCHEMES
        # In the order of use; the routes themselves are in the order of traffic.
        document["paths"] = dict(sorted(document["paths"].items(), key=lambda item: "post" not in item[1]))
        return document

    app.openapi = with_security  # type: ignore[method-assign]
