"""OpenAPI of the routes of keys, of the audit trail, of webhooks, and of the operator's control of the queue."""

from pipelet.api.v1.description import operation
from pipelet.api.v1.operate import audit, keys, queue, webhooks
from pipelet.api.v1.schemas import PageQuery

LIST_KEYS = operation("List keys", "Newest first. Needs `keys`.", answer=keys.KeyList, query=PageQuery)
CREATE_KEY = operation(
    "Create a key",
    "Its secret is in this response, and nowhere else. A key for any user can be made, so `keys` gives the power of "
    "every other scope.",
    answer=keys.KeyWithSecret,
    status=201,
    errors=[409],
    body=keys.CreateKey,
)
FIND_KEY = operation(
    "Find a key by its text",
    "Such as one that was found in a log; also one that was revoked, or whose secret was rotated and still works.",
    answer=keys.KeyItem,
    errors=[404],
    body=keys.FindKey,
)
SHOW_KEY = operation("Show a key", "Needs `keys`.", answer=keys.KeyItem, errors=[404])
CHANGE_KEY = operation(
    "Change a key",
    "Changes what is in the body, and nothing else; null lifts a limit or an expiry. Services follow within two "
    "seconds.",
    answer=keys.KeyItem,
    errors=[404],
    body=keys.ChangeKey,
)
REVOKE_KEY = operation(
    "Revoke a key",
    "Permanently. Services stop accepting it within two seconds; its sessions and streams end.",
    answer=keys.Revoked,
    errors=[404],
    query=keys.RevokeQuery,
)
ROTATE_KEY = operation(
    "Rotate a key",
    "A new secret for the same key; the old one works until the overlap ends.",
    answer=keys.RotatedKey,
    errors=[404, 409],
    body=keys.RotateKey,
)
LIST_AUDIT = operation(
    "List administrative acts",
    "Newest first, of the API and of the command line.",
    answer=audit.AuditList,
    query=PageQuery,
)
LIST_WEBHOOKS = operation(
    "List deliveries of webhooks", "Newest first.", answer=webhooks.WebhookList, query=webhooks.WebhookQuery
)
SHOW_WEBHOOK = operation("Show a delivery", answer=webhooks.WebhookItem, errors=[404])
REPLAY_WEBHOOK = operation(
    "Deliver a webhook again",
    "Whether it was delivered before or not.",
    answer="Due now.",
    status=204,
    errors=[404, 409],
)
PAUSE = operation(
    "Pause an app",
    "Its requests wait until it is resumed; running ones continue.",
    answer="Paused.",
    status=204,
    errors=[404],
)
RESUME = operation("Resume an app", answer="Resumed.", status=204, errors=[409])
FRONT = operation(
    "Move a request to the front",
    "It starts next, whatever its priority.",
    answer="Moved.",
    status=204,
    errors=[404, 409],
)
CHANGE_PRIORITY = operation(
    "Change the priority of a request",
    "A queued one takes its turn in the new priority as if it had arrived now.",
    answer=queue.ChangedPriority,
    body=queue.ChangePriority,
    errors=[404, 409],
)
LIST_WORKERS = operation("List live workers", answer=queue.WorkerList)
DRAIN = operation(
    "Drain a worker",
    "It claims nothing more, finishes its requests and exits.",
    answer="Draining.",
    status=204,
    errors=[404],
)
UNDRAIN = operation(
    "Take a drain back", "For a worker that has not exited yet.", answer="Working again.", status=204, errors=[409]
)
