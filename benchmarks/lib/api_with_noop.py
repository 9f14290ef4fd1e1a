"""`pipelet serve --workers 0` with two more routes, tried first, that answer a constant: what any answer costs here."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pipelet.api.routing import RawRoute
from pipelet.cli.commands.operator import serve
from pipelet.wiring.api import Api

NOOP = "/noop"
BARE_NOOP = "/bare-noop"


async def noop(request: Request) -> Response:
    return Response(b'{"status": "ok"}', media_type="application/json")


def main() -> None:
    build_api = serve.build_api

    def with_noop(*arguments: Any, **more: Any) -> Api:
        api = build_api(*arguments, **more)
        router = api.app.router
        # First as a beginner writes one, then without what FastAPI does for arguments and models, as our own are.
        for path, kind in ((NOOP, APIRoute), (BARE_NOOP, RawRoute)):
            router.add_api_route(path, noop, methods=["GET"], route_class_override=kind)
            router.routes.insert(0, router.routes.pop())
        return api

    serve.build_api = with_noop
    serve.serve(workers=0)


if __name__ == "__main__":
    main()
