"""The OpenAPI document of a service with the catalog as it ships."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pipelet import settings
from pipelet.settings import Settings
from pipelet.wiring.api import build_api
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.catalog import read_catalog
from pipelet.wiring.store import migrate, open_store


@cache
def openapi_document() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load(data_dir=Path(folder))
        migrate(chosen)
        return asyncio.run(_document(chosen))


async def _document(chosen: Settings) -> dict[str, Any]:
    async with open_store(chosen) as store:
        blobs = open_blobs(chosen)
        api = build_api(chosen, store=store, blobs=blobs, catalog=read_catalog(chosen))
        return api.app.openapi()
