"""What /docs says of each route: written by hand, as the handlers read requests by hand. Tests hold it to the truth."""

from typing import Any

from fastapi import FastAPI

from pipelet.api import schemas
from pipelet.api.input_model import InputModel
from pipelet.api.options import (
    LEAST_START_TIMEOUT,
    LONGEST_IDEMPOTENCY_KEY,
    LONGEST_START_TIMEOUT,
    MOST_IN_QUEUE,
)
from pipelet.domain.catalog import Catalog
from pipelet.domain.ids import REQUEST_ID_PATTERN

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
_REQUEST_ID_HEADER = {"x-fal-request-id": {"schema": {"type": "string", "pattern": REQUEST_ID_PATTERN}}}

ABOUT = """Image generation behind fal's queue API: submit, poll `status_url` until `COMPLETED`, read `response_url`.

Every error body has `detail` and `message`. A request answers under every app's path: its id alone identifies it."""

# Without a text here, FastAPI would publish the docstring of the handler.
ABOUT_SUBMIT = "Returns at once. With `?fal_webhook=URL`, a webhook is sent to that URL when the request is completed."
ABOUT_RUN = """Returns the result on the same connection. If the client closes it, the request is cancelled, unless it
has started. A call with an `Idempotency-Key` is not cancelled: send it again to get the result."""
ABOUT_STATUS = "Returns the position in the queue or the progress, and an estimate. Poll it until `COMPLETED`."
ABOUT_STREAM = "Sends the status as server-sent events: at once, then at every change, until `COMPLETED`."
ABOUT_RESULT = "Returns the images of a completed request. Their URLs need no key and are valid for a limited time."
ABOUT_CANCEL = "A request that waits will not start. With `?in_progress=1`, one that is running stops, too."


def _refusal(description: str) -> dict[str, Any]:
    return {"model": schemas.Refusal, "description": description}


def _answer(model: type, description: str) -> dict[str, Any]:
    return {"model": model, "description": description, "headers": _REQUEST_ID_HEADER}


_COMMON: dict[int | str, dict[str, Any]] = {
    401: _refusal("No key, or not one that is valid here."),
    503: _refusal("Cannot be served right now; try again."),
}
_FIND: dict[int | str, dict[str, Any]] = {**_COMMON, 404: _refusal("No such request, or somebody else's.")}

SUBMIT: dict[int | str, dict[str, Any]] = {
    **_COMMON,
    200: _answer(schemas.Submitted, "Queued."),
    400: _refusal("The body is no JSON that can be read."),
    413: _refusal("The body is too large."),
    422: _refusal("The input is refused, with all reasons."),
    429: _refusal("The key has as many images queued as it may, or the queue is longer than was allowed; try later."),
}
STATUS: dict[int | str, dict[str, Any]] = {
    **_FIND,
    200: _answer(schemas.Status, "It has ended: well, badly, or cancelled."),
    202: _answer(schemas.Status, "It waits or runs."),
}
STREAM: dict[int | str, dict[str, Any]] = {
    **_FIND,
    200: {
        "description": "Server-sent events until `COMPLETED`; each `data` is what a poll of the status would answer.",
        "headers": _REQUEST_ID_HEADER,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "`Last-Event-ID` is that of the last event: there is nothing more to tell."},
    429: _refusal("The user has as many streams open as one may have. Poll."),
}
CANCEL: dict[int | str, dict[str, Any]] = {
    **_FIND,
    202: _answer(schemas.CancelAccepted, "It will never run, or is told to stop. Asking again gets the same answer."),
    400: _refusal("Too late: `ALREADY_IN_PROGRESS` or `ALREADY_COMPLETED`."),
}
RESULT: dict[int | str, dict[str, Any]] = {
    **_FIND,
    200: _answer(schemas.Result, "The images. URLs are signed anew at each read."),
    400: _refusal("It has not ended yet."),
    422: _refusal("The model cannot draw this input."),
    499: _refusal("It was cancelled."),
    500: _refusal("It failed; `error_type` says how."),
    504: _refusal("It did not begin in the time that was set for it."),
}
RUN: dict[int | str, dict[str, Any]] = {
    **SUBMIT,
    200: RESULT[200],
    404: _refusal("It was deleted while it was waited for."),
    422: _refusal("The input is refused, with all reasons; or the model cannot draw it."),
    499: RESULT[499],
    500: _refusal("It failed, and `error_type` says how; or the service stops, and what has begun goes on."),
    503: _refusal("Cannot be served right now, or the service stops: try again."),
    504: RESULT[504],
}

IN_PROGRESS = {
    "name": "in_progress",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "`1` or `true` stops a request that has begun, too.",
}
LOGS = {
    "name": "logs",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "`1` or `true` turns `logs` into a list of what happened so far.",
}

LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `id` of the last event that arrived: the stream goes on after it.",
}


def of_read(catalog: Catalog, *parameters: dict[str, Any]) -> dict[str, Any]:
    """The hand-written rest of a route under `/requests/{request_id}`."""
    app = {"name": "app", "in": "path", "required": True, "schema": {"type": "string", "enum": list(catalog.apps)}}
    request_id = {
        "name": "request_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": REQUEST_ID_PATTERN, "examples": ["rn5r12q9pdu6yvb3nxty"]},
    }
    return {"security": SECURITY, "parameters": [app, request_id, *parameters]}


def _parameter(where: str, name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}


_LIFECYCLE = {
    # Null first: where an object is the only or the first choice, Swagger UI fills the optional header in, with one
    # second, and "Execute" sends it.
    "anyOf": [
        {"type": "null"},
        {
            "type": "object",
            "properties": {"expiration_duration_seconds": {"type": "number", "exclusiveMinimum": 0}},
        },
    ],
}
OPTIONS: list[dict[str, Any]] = [
    _parameter(
        "header",
        "Idempotency-Key",
        "The same key and input within 24 hours answer the same request.",
        type="string",
        pattern=f"^[!-~]{{1,{LONGEST_IDEMPOTENCY_KEY}}}$",
    ),
    _parameter(
        "header",
        "X-Fal-Request-Start-Timeout",
        "Seconds in which it is to begin; `X-Fal-Request-Timeout` is its older name.",
        type="number",
        exclusiveMinimum=LEAST_START_TIMEOUT,
        maximum=LONGEST_START_TIMEOUT,
    ),
    _parameter("header", "X-Fal-Queue-Priority", "`low` gives way to your other requests.", type="string"),
    _parameter("header", "X-Fal-No-Retry", "`1`: an attempt that is cut short is not made again.", type="string"),
    _parameter("header", "X-Fal-Store-IO", "`0`: prompt and pictures are forgotten at the end.", type="string"),
    {
        "name": "X-Fal-Object-Lifecycle-Preference",
        "in": "header",
        "required": False,
        "description": "How long the request and its images are kept after its end, such as "
        '`{"expiration_duration_seconds": 3600}`.',
        "content": {"application/json": {"schema": _LIFECYCLE}},
    },
    _parameter(
        "query",
        "fal_max_queue_length",
        "Refuse with 429 where more requests wait.",
        type="integer",
        minimum=0,
        maximum=MOST_IN_QUEUE,
    ),
]


def of_submit(model: InputModel) -> dict[str, Any]:
    schema = model.model_json_schema()
    content = {"application/json": {"schema": schema, "example": schema["examples"][0]}}
    return {"security": SECURITY, "parameters": OPTIONS, "requestBody": {"required": True, "content": content}}


def add_security(app: FastAPI) -> None:
    """Name the two ways to send a key in the document, once it is made."""
    describe = app.openapi

    def with_security() -> dict[str, Any]:
        document = describe()
        document["components"]["securitySchemes"] = _SCHEMES
        # In the order of use; the routes themselves are in the order of traffic.
        document["paths"] = dict(sorted(document["paths"].items(), key=lambda item: "post" not in item[1]))
        return document

    app.openapi = with_security  # type: ignore[method-assign]
