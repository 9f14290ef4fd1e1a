"""The address to which fal's JavaScript client sends all calls if it has a `proxyUrl`.

The real address is in a header. Calls to fal's queue and storage are routed to the routes of this process, and need
the client's own key like any other.
"""

from urllib.parse import unquote, urlsplit

from starlette.types import Receive, Scope, Send

from pipelet.api.errors import Problem
from pipelet.api.middleware.access_log import leave_to_inner_request
from pipelet.domain.catalog import RESERVED_OWNERS

_HEADER = b"x-fal-target-url"
_ROOTS = {"queue.fal.run": "/fal/", "fal.run": "/fal/run/"}
_APPS = "queue"
"""The owner of all apps here, in fal's terms."""
_INSTEAD = f"Apps are called as {_APPS}/<app> here, such as {_APPS}/z-image-text-to-image."
_STORAGE_HOSTS = ("rest.fal.ai", "rest.alpha.fal.ai", "rest.fal.run")
_STORAGE = "/storage/"


class Proxy:
    """An ASGI application, so that bodies and events are streamed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            Problem: the real address is missing, or not one of fal's queue or storage.
        """
        path, query = _local_target([value for name, value in scope["headers"] if name == _HEADER])
        inner = {
            **scope,
            "path": scope.get("root_path", "") + unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "path_params": {},
            # Without the target, which would lead here again, and without the origin, for which CORS is done.
            "headers": [header for header in scope["headers"] if header[0] not in (_HEADER, b"origin")],
        }
        leave_to_inner_request(scope)
        await scope["app"](inner, receive, send)


def _local_target(targets: list[bytes]) -> tuple[str, str]:
    """Path and query in this service of the one target address."""
    if len(targets) != 1:
        raise Problem(400, "This route is for fal's JavaScript client, which names one address in `x-fal-target-url`.")
    try:
        target = urlsplit(targets[0].decode("ascii"))
    except ValueError:
        raise Problem(400, "The address in `x-fal-target-url` is invalid.") from None
    root = _ROOTS.get(target.netloc.lower())
    if target.scheme == "https" and target.netloc.lower() in _STORAGE_HOSTS and target.path.startswith(_STORAGE):
        return f"/fal/rest{target.path}", target.query
    if root is None or target.scheme != "https":
        served = " and ".join(f"https://{host}/" for host in _ROOTS)
        raise Problem(400, f"This proxy serves {served} only. Send other calls to their own address.")
    path = target.path.removeprefix("/")
    owner, _, name = unquote(path).partition("/")
    if not name or (owner in RESERVED_OWNERS and owner != _APPS):
        raise Problem(404, f"There is no such app. {_INSTEAD}")
    return root + path, target.query
