"""OpenAPI of fal's protocol: written by hand, because the handlers read requests by hand. Tests compare the two."""

from typing import Any

from pipelet.api.fal.description import schemas
from pipelet.api.fal.input.options import (
    MAX_QUEUE_LENGTH,
    MAX_START_TIMEOUT,
    MIN_START_TIMEOUT,
)
from pipelet.api.fal.long_poll import MAX_WAIT
from pipelet.api.input.idempotency import PARAMETER
from pipelet.api.input.schema import InputModel
from pipelet.api.openapi import SECURITY
from pipelet.api.routing import Operation
from pipelet.domain.catalog import Catalog
from pipelet.domain.ids import REQUEST_ID_PATTERN

_Responses = dict[int | str, dict[str, Any]]

_COMMON = {"tags": ["fal"], "security": SECURITY}
_REQUEST_ID = {"type": "string", "pattern": REQUEST_ID_PATTERN}
_HEADERS = {"x-fal-request-id": {"schema": _REQUEST_ID}}


def _responses(**by_status: str | tuple[type, str]) -> _Responses:
    """Error texts by status, such as `e404`; a tuple of a model and a text is a success."""
    return {
        int(status[1:]): (
            {"model": schemas.Refusal, "description": response}
            if isinstance(response, str)
            else {"model": response[0], "description": response[1], "headers": _HEADERS}
        )
        for status, response in by_status.items()
    }


def _parameter(where: str, name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}


_LIFECYCLE = {
    # Null first: Swagger UI fills in an optional header whose first choice is an object, and "Execute" sends it.
    "anyOf": [
        {"type": "null"},
        {
            "type": "object",
            "properties": {"expiration_duration_seconds": {"type": "number", "exclusiveMinimum": 0}},
        },
    ],
}
_OPTIONS = (
    PARAMETER,
    _parameter(
        "header",
        "X-Fal-Request-Start-Timeout",
        "Seconds within which the request has to start; `X-Fal-Request-Timeout` is its older name.",
        type="number",
        exclusiveMinimum=MIN_START_TIMEOUT,
        maximum=MAX_START_TIMEOUT,
    ),
    _parameter("header", "X-Fal-Queue-Priority", "`low` gives way to your other requests.", type="string"),
    _parameter("header", "X-Fal-No-Retry", "`1`: an interrupted attempt is not repeated.", type="string"),
    _parameter("header", "X-Fal-Store-IO", "`0`: prompt and images are deleted when the request ends.", type="string"),
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
        "Refuse with 429 if more requests wait.",
        type="integer",
        minimum=0,
        maximum=MAX_QUEUE_LENGTH,
    ),
)
_IN_PROGRESS = _parameter("query", "in_progress", "`1` or `true` also stops a request that has started.", type="string")
_LOGS = _parameter("query", "logs", "`1` or `true` returns `logs` as a list of events so far.", type="string")
_PREVIEWS = _parameter(
    "query",
    "previews",
    "`1` or `true` adds events `preview`: an estimate of an image that is being generated, at most two a second.",
    type="string",
)
_WAIT = _parameter(
    "query",
    "wait",
    "Seconds: respond when the request has ended, or when they are over. `Prefer: wait=30` does the same.",
    type="integer",
    minimum=1,
    maximum=MAX_WAIT,
)
_LAST_EVENT_ID = _parameter(
    "header", "Last-Event-ID", "The `id` of the last event that arrived; the stream continues after it.", type="string"
)

_NO_SCOPE = "The key lacks the scope `generate`"
_ALWAYS = _responses(e401="No valid key.", e403=f"{_NO_SCOPE}.", e503="The service is unavailable; try again.")
_FIND = _ALWAYS | _responses(e404="No such request, or another user's.")
_SUBMIT = _ALWAYS | _responses(
    s200=(schemas.Submitted, "Queued."),
    e400="The body is not valid JSON.",
    e413="The body is too large.",
    e422="The input is invalid; the response lists all errors.",
    e403=f"{_NO_SCOPE}, or the user's files take as much space as is allowed.",
    e429="The key or its user has too many queued images, the user submits too fast, or the queue is longer than "
    "allowed; try later.",
)
_RESULT = _responses(
    s200=(schemas.Result, "The images. Each read signs their URLs again."),
    e499="The request was cancelled.",
    e504="The request did not start within the time that was set for it.",
)

SUBMIT = Operation(
    "Submit a request",
    "Returns at once. With `?fal_webhook=URL`, a webhook is sent to that URL when the request is completed; with\n"
    "`&fal_webhook_events=started,progress`, further ones while it runs.",
    _SUBMIT,
    _OPTIONS,
)
SUBMIT_TO_ID = Operation(
    "Submit to an id of fal's",
    "Takes fal's own input; status, result and cancel are under the id's owner and name, as fal's clients call them.\n"
    "Fields that change nothing are named in the header `X-Pipelet-Ignored`.",
    _SUBMIT,
    _OPTIONS,
)
RUN = Operation(
    "Submit a request and wait for its result",
    "Returns the result on the same connection. If the client closes it, the request is cancelled, unless it has\n"
    "started. A call with an `Idempotency-Key` is not cancelled: send it again to get the result.",
    _SUBMIT
    | _RESULT
    | _responses(
        e404="The request was deleted before it ended.",
        e422="The input is invalid; or the model cannot generate from it.",
        e500="The request failed, and `error_type` says how; or the service stops, and the request continues.",
        e503="The service is unavailable, or stops: try again.",
    ),
    _OPTIONS,
)
STATUS = Operation(
    "Get status",
    "Returns the position in the queue or the progress, and an estimate. Poll it until `COMPLETED`.",
    _FIND
    | _responses(
        s200=(schemas.Status, "The request has ended: succeeded, failed or cancelled."),
        s202=(schemas.Status, "The request waits or runs."),
        e422="`wait` is not a number of seconds that is allowed.",
        e429="The user has too many open streams and waiting polls. Poll without `wait`.",
    ),
    (_LOGS, _WAIT),
)
STREAM = Operation(
    "Stream status",
    "Sends the status as server-sent events: at once, then at every change, until `COMPLETED`.",
    {
        **_FIND,
        200: {
            "description": "Server-sent events until `COMPLETED`; each `data` is what a poll of the status returns. "
            "That of a `preview` is an object with `image` (a data URI), `index` and `step`.",
            "headers": _HEADERS,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "`Last-Event-ID` is that of the last event: the stream is complete."},
        **_responses(e429="The user has too many open streams. Poll the status."),
    },
    (_LOGS, _PREVIEWS, _LAST_EVENT_ID),
)
RESULT = Operation(
    "Get the result",
    "Returns the images of a completed request. Their URLs need no key and are valid for a limited time.",
    _FIND
    | _RESULT
    | _responses(
        e400="The request has not ended yet.",
        e422="The model cannot generate from this input.",
        e500="The request failed; `error_type` says how.",
    ),
)
CANCEL = Operation(
    "Cancel a request",
    "A request that waits will not start. With `?in_progress=1`, a running one stops, too.",
    _FIND
    | _responses(
        s202=(schemas.CancelAccepted, "The request never runs, or is stopping. A repeated call returns the same."),
        e400="Too late: `ALREADY_IN_PROGRESS` or `ALREADY_COMPLETED`.",
    ),
    (_IN_PROGRESS,),
    status_code=202,
)


def read_extra(operation: Operation, catalog: Catalog) -> dict[str, Any]:
    """OpenAPI fields of a route under `/requests/{request_id}`."""
    path_parameters = [
        {"name": "app", "in": "path", "required": True, "schema": {"type": "string", "enum": list(catalog.apps)}},
        {
            "name": "request_id",
            "in": "path",
            "required": True,
            "schema": _REQUEST_ID | {"examples": ["rn5r12q9pdu6yvb3nxty"]},
        },
    ]
    return _COMMON | {"parameters": [*path_parameters, *operation.parameters]}


def submit_extra(operation: Operation, model: InputModel) -> dict[str, Any]:
    """OpenAPI fields of a route that takes the input of an app."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": schema, "example": schema["examples"][0]}}
    return _COMMON | {"parameters": operation.parameters, "requestBody": {"required": True, "content": content}}
