"""`pipelet serve --workers 0` with two more routes, tried first, that answer a constant: what any answer costs here."""

import asyncio

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pipelet import logs, settings, wiring
from pipelet.api.app import Direct
from pipelet.cli import serve
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports import JobStore
from pipelet.settings import Settings

NOOP = "/noop"
BARE_NOOP = "/bare-noop"


async def noop(request: Request) -> Response:
    return Response(b'{"status": "ok"}', media_type="application/json")


async def main() -> None:
    chosen = settings.load()
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    wiring.migrate(chosen)
    async with wiring.open_store(chosen) as store:
        await _serve(chosen, wiring.read_catalog(chosen), store)


async def _serve(chosen: Settings, catalog: Catalog, store: JobStore) -> None:
    blobs = wiring.open_blobs(chosen)
    secret = await wiring.ensure_local_key(chosen, store)
    api = wiring.build_api(chosen, store=store, blobs=blobs, catalog=catalog)
    # First as anybody writes one, then without what FastAPI does for arguments and models, as our own are.
    for path, kind in ((NOOP, APIRoute), (BARE_NOOP, Direct)):
        api.router.add_api_route(path, noop, methods=["GET"], route_class_override=kind)
        api.router.routes.insert(0, api.router.routes.pop())
    listener = serve._listen(chosen)
    server = serve.Server(api, on_ready=lambda: serve._greet(chosen, listener, secret))
    with serve._on_signals(lambda: setattr(server, "should_exit", True)):
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
