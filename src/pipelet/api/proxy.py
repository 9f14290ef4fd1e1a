"""The one address that fal's JavaScript client can be told to send every call to (`proxyUrl`).

The real address is in a header. What was meant for fal's queue is answered by our own routes, in this process, and
needs the caller's own key, as they do.
"""

from urllib.parse import unquote, urlsplit

from starlette.types import Receive, Scope, Send

from pipelet.api.problems import Problem

_HEADER = b"x-fal-target-url"
_ROOTS = {"queue.fal.run": "/fal/", "fal.run": "/fal/run/"}
_APPS = "queue/"
"""What stands where fal has the owner of an app."""
_INSTEAD = f"Apps are called as {_APPS}<app> here, such as {_APPS}z-image-text-to-image."

_NO_UPLOADS = "Uploads are not offered. Pass the image as a data: URI, or as a URL that this service can fetch."


class Proxy:
    """An ASGI application, so that bodies and events stream through."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            Problem: the real address is missing, or not one that we stand in for.
        """
        path, query = _ours([value for name, value in scope["headers"] if name == _HEADER])
        inner = {
            **scope,
            "path": scope.get("root_path", "") + unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "path_params": {},
            # Those of the first route: the target, or we would come back here, and the origin, which has been seen to.
            "headers": [header for header in scope["headers"] if header[0] not in (_HEADER, b"origin")],
        }
        await scope["app"](inner, receive, send)


def _ours(targets: list[bytes]) -> tuple[str, str]:
    """Path and query, here, of what is at the one target there."""
    if len(targets) != 1:
        raise Problem(400, "This route is for fal's JavaScript client, which names one address in `x-fal-target-url`.")
    try:
        target = urlsplit(targets[0].decode("ascii"))
    except ValueError:
        raise Problem(400, "The address in `x-fal-target-url` cannot be read.") from None
    root = _ROOTS.get(target.netloc.lower())
    if root is None or target.scheme != "https":
        if target.path.startswith("/storage/"):
            raise Problem(400, _NO_UPLOADS)
        served = " and ".join(f"https://{host}/" for host in _ROOTS)
        raise Problem(400, f"This proxy stands in for {served} alone. Send other calls to where they belong.")
    if not target.path.startswith(f"/{_APPS}"):
        raise Problem(404, f"There is no such app. {_INSTEAD}")
    return root + target.path.removeprefix("/"), target.query
