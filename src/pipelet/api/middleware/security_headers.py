"""Headers that protect responses in browsers and shared caches."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")


class SecurityHeaders:
    """Adds them. A response is private unless its own headers say how it may be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message["headers"])
            await send(message)

        await self._app(scope, receive, send_safely)


def _add(headers: list[tuple[bytes, bytes]]) -> None:
    """In one loop, because it runs for every response."""
    extra, is_private = [_NOSNIFF], True
    for name, value in headers:
        if name in (b"cache-control", b"etag"):  # it may be cached
            is_private = False
        elif name == b"content-type" and value.startswith(b"text/html"):
            extra.append(_NO_FRAMES)
    if is_private:
        extra.append(_NO_STORE)
    headers += extra
