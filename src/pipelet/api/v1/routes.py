"""Every path of `/api/v1`, in one table. Literal paths come before those with an id in the same place."""

from collections.abc import Iterator

from fastapi.routing import APIRoute

from pipelet.api.v1.apps import list_apps
from pipelet.api.v1.description import describe_routes
from pipelet.api.v1.operate import audit, keys, queue, user_limits, webhooks
from pipelet.api.v1.operate import operations as operating
from pipelet.api.v1.operate.doctor import DOCTOR, show_doctor
from pipelet.api.v1.operate.failures import FAILURES, show_failures
from pipelet.api.v1.operate.overview import OVERVIEW, show_overview
from pipelet.api.v1.operate.series import SERIES, show_series
from pipelet.api.v1.operate.storage import STORAGE, show_storage
from pipelet.api.v1.requests import changes, files, operations, reads, submit
from pipelet.api.v1.routing import OpenRoute, Route
from pipelet.api.v1.session import operations as of_session
from pipelet.api.v1.session.handlers import show_session, sign_in, sign_out
from pipelet.api.v1.streams import CHANGES, OVERVIEW_CHANGES, stream_changes, stream_overview
from pipelet.api.v1.uploads import handlers as uploads
from pipelet.api.v1.usage import USAGE, show_usage
from pipelet.domain.accounts.scopes import Scope

ROUTES: tuple[Route | OpenRoute, ...] = (
    # Sessions
    OpenRoute("POST", "/api/v1/session", sign_in, of_session.SIGN_IN),
    Route("GET", "/api/v1/session", show_session, None, of_session.SHOW),
    Route("DELETE", "/api/v1/session", sign_out, None, of_session.SIGN_OUT),
    # Operators
    Route("GET", "/api/v1/operate/keys", keys.list_keys, Scope.KEYS, operating.LIST_KEYS),
    Route("POST", "/api/v1/operate/keys", keys.create_key, Scope.KEYS, operating.CREATE_KEY),
    Route("POST", "/api/v1/operate/keys/find", keys.find_key, Scope.KEYS, operating.FIND_KEY),
    Route("GET", "/api/v1/operate/keys/{key_id}", keys.show_key, Scope.KEYS, operating.SHOW_KEY),
    Route("PATCH", "/api/v1/operate/keys/{key_id}", keys.change_key, Scope.KEYS, operating.CHANGE_KEY),
    Route("DELETE", "/api/v1/operate/keys/{key_id}", keys.revoke_key, Scope.KEYS, operating.REVOKE_KEY),
    Route("POST", "/api/v1/operate/keys/{key_id}/rotate", keys.rotate_key, Scope.KEYS, operating.ROTATE_KEY),
    Route(
        "GET", "/api/v1/operate/users/{user:path}/limits", user_limits.show_user_limits, Scope.KEYS, user_limits.SHOW
    ),
    Route(
        "PATCH",
        "/api/v1/operate/users/{user:path}/limits",
        user_limits.change_user_limits,
        Scope.KEYS,
        user_limits.CHANGE,
    ),
    Route("GET", "/api/v1/operate/audit", audit.list_audit, Scope.OBSERVE, operating.LIST_AUDIT),
    Route("POST", "/api/v1/operate/apps/{app}/pause", queue.pause_app, Scope.OPERATE, operating.PAUSE),
    Route("POST", "/api/v1/operate/apps/{app}/resume", queue.resume_app, Scope.OPERATE, operating.RESUME),
    Route("POST", "/api/v1/operate/requests/{request_id}/front", queue.move_to_front, Scope.OPERATE, operating.FRONT),
    Route(
        "PATCH",
        "/api/v1/operate/requests/{request_id}",
        queue.change_priority,
        Scope.OPERATE,
        operating.CHANGE_PRIORITY,
    ),
    Route("GET", "/api/v1/operate/workers", queue.list_workers, Scope.OBSERVE, operating.LIST_WORKERS),
    Route("POST", "/api/v1/operate/workers/{name}/drain", queue.drain_worker, Scope.OPERATE, operating.DRAIN),
    Route("DELETE", "/api/v1/operate/workers/{name}/drain", queue.undrain_worker, Scope.OPERATE, operating.UNDRAIN),
    Route("GET", "/api/v1/operate/webhooks", webhooks.list_webhooks, Scope.OBSERVE, operating.LIST_WEBHOOKS),
    Route("GET", "/api/v1/operate/webhooks/{request_id}", webhooks.show_webhook, Scope.OBSERVE, operating.SHOW_WEBHOOK),
    Route(
        "POST",
        "/api/v1/operate/webhooks/{request_id}/replay",
        webhooks.replay_webhook,
        Scope.OPERATE,
        operating.REPLAY_WEBHOOK,
    ),
    # Requests
    Route("GET", "/api/v1/requests", reads.list_requests, Scope.GENERATE, operations.LIST),
    Route("POST", "/api/v1/requests", submit.submit_request, Scope.GENERATE, operations.SUBMIT),
    Route("POST", "/api/v1/requests/cancel", changes.cancel_requests, Scope.GENERATE, operations.CANCEL_MANY),
    Route("POST", "/api/v1/requests/delete", changes.delete_requests, Scope.GENERATE, operations.DELETE_MANY),
    Route("POST", "/api/v1/requests/retry", changes.retry_requests, Scope.GENERATE, operations.RETRY_MANY),
    Route("GET", "/api/v1/requests/count", reads.count_requests, Scope.GENERATE, operations.COUNT),
    Route("GET", "/api/v1/requests/archive", files.download_archive, Scope.GENERATE, operations.ARCHIVE),
    Route("GET", "/api/v1/requests/{request_id}", reads.show_request, Scope.GENERATE, operations.SHOW),
    Route("PATCH", "/api/v1/requests/{request_id}", changes.change_request, Scope.GENERATE, operations.CHANGE),
    Route("DELETE", "/api/v1/requests/{request_id}", changes.delete_request, Scope.GENERATE, operations.DELETE),
    Route(
        "GET",
        "/api/v1/requests/{request_id}/thumbnails/{number}",
        files.show_thumbnail,
        Scope.GENERATE,
        operations.THUMBNAIL,
    ),
    Route("GET", "/api/v1/requests/{request_id}/preview", files.show_preview, Scope.GENERATE, operations.PREVIEW),
    # Uploads
    Route("POST", "/api/v1/uploads", uploads.upload_image, Scope.GENERATE, uploads.UPLOAD, takes_image=True),
    Route("DELETE", "/api/v1/uploads/{upload_id}", uploads.delete_upload, Scope.GENERATE, uploads.DELETE),
    # Apps
    Route("GET", "/api/v1/apps", list_apps.list_apps, Scope.GENERATE, list_apps.LIST),
    Route("POST", "/api/v1/estimate", submit.estimate_request, Scope.GENERATE, operations.ESTIMATE),
    Route("GET", "/api/v1/stream", stream_changes, Scope.GENERATE, CHANGES),
    # Usage
    Route("GET", "/api/v1/usage", show_usage, Scope.GENERATE, USAGE, or_scope=Scope.OBSERVE),
    # Reports for operators
    Route("GET", "/api/v1/operate/overview", show_overview, Scope.OBSERVE, OVERVIEW),
    Route("GET", "/api/v1/operate/stream", stream_overview, Scope.OBSERVE, OVERVIEW_CHANGES),
    Route("GET", "/api/v1/operate/series", show_series, Scope.OBSERVE, SERIES),
    Route("GET", "/api/v1/operate/failures", show_failures, Scope.OBSERVE, FAILURES),
    Route("GET", "/api/v1/operate/storage", show_storage, Scope.OBSERVE, STORAGE),
    Route("GET", "/api/v1/operate/doctor", show_doctor, Scope.OBSERVE, DOCTOR),
)


def describe_v1() -> Iterator[APIRoute]:
    """The table as OpenAPI has it."""
    return describe_routes(ROUTES)
