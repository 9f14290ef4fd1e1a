"""`pipelet serve --workers 0` with two more routes, tried first, that answer a constant: what any answer costs here."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pipelet.api.routing import Route
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
        # One as a beginner writes it, and one without what FastAPI does for arguments and models, as our own are.
        api.app.router.routes[:0] = [Route("GET", BARE_NOOP, noop), APIRoute(NOOP, noop, methods=["GET"])]
        return api

    serve.build_api = with_noop
    serve.serve(workers=0)


if __name__ == "__main__":
    main()
