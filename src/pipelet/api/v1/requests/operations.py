"""OpenAPI of the routes under `/api/v1/requests`."""

from pipelet.api.input.idempotency import PARAMETER
from pipelet.api.v1.description import operation
from pipelet.api.v1.requests.schemas import (
    ArchiveQuery,
    BulkBody,
    BulkDone,
    CancelBody,
    ChangeBody,
    Changed,
    Criteria,
    ListQuery,
    Prediction,
    RequestCount,
    RequestDetail,
    RequestPage,
    SubmitBody,
)

LIST = operation(
    "List requests", "Your own, newest first; with `observe`, also others'.", answer=RequestPage, query=ListQuery
)
COUNT = operation(
    "Count requests",
    "How many a filter finds, in all and by state, before a bulk action on them.",
    answer=RequestCount,
    query=Criteria,
    errors=[409],
)
SHOW = operation("Show a request", "All of it. Each read signs its URLs again.", answer=RequestDetail, errors=[404])
SUBMIT = operation(
    "Submit a request to an app",
    "The same as a submit to the queue of the app.",
    answer=RequestDetail,
    body=SubmitBody,
    headers=[PARAMETER],
    errors=[404, 429],
)
ESTIMATE = operation(
    "Predict how long a request would take",
    "The same input and validation as a submit; nothing is queued, and input images are not fetched.",
    answer=Prediction,
    body=SubmitBody,
    errors=[404],
)
CHANGE = operation("Keep a request", "Or stop keeping it.", answer=Changed, body=ChangeBody, errors=[404])
DELETE = operation(
    "Delete a request",
    "The request and its files are gone, at once. A queued one is cancelled first; a running one is refused.",
    answer="It is gone.",
    status=204,
    errors=[404, 409],
)
CANCEL_MANY = operation(
    "Cancel requests",
    "Those that are queued, and with `in_progress` those that run.",
    answer=BulkDone,
    body=CancelBody,
    errors=[409],
)
DELETE_MANY = operation(
    "Delete requests",
    "Those that do not run; queued ones are cancelled first.",
    answer=BulkDone,
    body=BulkBody,
    errors=[409],
)
RETRY_MANY = operation(
    "Retry requests",
    "Queues copies of those that failed or were cancelled, with the same seed, while their keys have room.",
    answer=BulkDone,
    body=BulkBody,
    errors=[409],
)
THUMBNAIL = operation(
    "Get a thumbnail",
    "Of the image of this number, counted from 0: at most 320 pixels a side. Private caches may keep it for a day.",
    answer="The thumbnail.",
    errors=[404],
    content={"image/webp": {"schema": {"type": "string", "format": "binary"}}},
)
PREVIEW = operation(
    "Get a preview",
    "An estimate of an image of a running request, at most 256 pixels a side. The worker makes them while a client "
    "asks, so the first response may be a 204; at most two a second are new.",
    answer="The newest preview.",
    errors=[404],
    content={"image/webp": {"schema": {"type": "string", "format": "binary"}}},
    others={204: "There is none at present."},
)
ARCHIVE = operation(
    "Download the images of several requests",
    "A zip file with a folder for each request, sent while it is packed.",
    answer="The archive.",
    query=ArchiveQuery,
    errors=[404, 429],
    content={"application/zip": {"schema": {"type": "string", "format": "binary"}}},
)
