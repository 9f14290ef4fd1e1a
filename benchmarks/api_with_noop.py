"""`pipelet serve --workers 0` with two more routes, tried first, that answer a constant: what any answer costs here."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pipelet import wiring
from pipelet.api.app import Direct
from pipelet.cli.serve import serve

NOOP = "/noop"
BARE_NOOP = "/bare-noop"


async def noop(request: Request) -> Response:
    return Response(b'{"status": "ok"}', media_type="application/json")


def main() -> None:
    build_api = wiring.build_api

    def with_noop(*arguments: Any, **more: Any) -> FastAPI:
        api = build_api(*arguments, **more)
        # First as anybody writes one, then without what FastAPI does for arguments and models, as our own are.
        for path, kind in ((NOOP, APIRoute), (BARE_NOOP, Direct)):
            api.router.add_api_route(path, noop, methods=["GET"], route_class_override=kind)
            api.router.routes.insert(0, api.router.routes.pop())
        return api

    wiring.build_api = with_noop
    serve(workers=0)


if __name__ == "__main__":
    main()
