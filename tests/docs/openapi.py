"""The OpenAPI document of a service with the catalog as it ships."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pipelet import settings, wiring
from pipelet.settings import Settings


@cache
def openapi_document() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load(data_dir=Path(folder))
        wiring.migrate(chosen)
        return asyncio.run(_document(chosen))


async def _document(chosen: Settings) -> dict[str, Any]:
    async with wiring.open_store(chosen) as store:
        blobs = wiring.open_blobs(chosen)
        api = wiring.build_api(chosen, store=store, blobs=blobs, catalog=wiring.read_catalog(chosen))
        return api.openapi()
