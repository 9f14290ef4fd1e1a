"""Headers that keep browsers and shared caches from doing harm with an answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_NO_STORE = (b"cache-control", b"no-store")
_NO_FRAMES = (b"content-security-policy", b"frame-ancestors 'none'")
_CACHED_ON_PURPOSE = frozenset({b"cache-control", b"etag"})


class SafeHeaders:
    """Around all others. An answer is private unless it says itself how it may be cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                if _CACHED_ON_PURPOSE.isdisjoint(name for name, _ in headers):
                    headers.append(_NO_STORE)
                headers.append(_NOSNIFF)
                if any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers):
                    headers.append(_NO_FRAMES)
            await send(message)

        await self._app(scope, receive, send_safely)
