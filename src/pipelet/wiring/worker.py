"""One worker and its engine."""

import socket

from pipelet import __version__
from pipelet.domain.catalog import Catalog
from pipelet.domain.ids import new_token
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.engine.engine_process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import Settings
from pipelet.wiring.catalog import model_of_worker
from pipelet.worker.config import WorkerConfig
from pipelet.worker.worker import Worker


def build_worker(settings: Settings, *, name: str | None, store: Store, blobs: BlobStore, catalog: Catalog) -> Worker:
    model = model_of_worker(settings, catalog)
    config = WorkerConfig(
        name=name or f"{socket.gethostname()}-{new_token()[:8]}",
        apps=catalog.apps_of(model.name),
        model=model,
        version=__version__,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.shutdown_grace_seconds,
        writes_metadata=settings.image_metadata == "full",
    )
    engine = EngineProcess(
        model=model,
        source=resolve(model.source),
        device=settings.device,
        load_timeout=settings.model_load_timeout_seconds,
        stall_timeout=settings.engine_stall_timeout_seconds,
    )
    return Worker(config, store=store, blobs=blobs, engine=engine)
