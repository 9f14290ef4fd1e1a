"""Background work of the service: maintenance of the queue, and delivery of webhooks."""

from collections.abc import Callable
from functools import partial

from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.outbound import public_only_client
from pipelet.services.queue.maintenance import Maintenance
from pipelet.settings import Settings
from pipelet.webhooks.sender import Sender


def build_maintenance(settings: Settings, *, store: Store, blobs: BlobStore) -> Maintenance:
    return Maintenance(
        store,
        blobs,
        retention_seconds=settings.retention_days * 86400,
        lease_seconds=settings.lease_seconds,
    )


def build_sender(settings: Settings, *, store: Store, blobs: BlobStore, on_result: Callable[[str], None]) -> Sender:
    timeout = settings.webhook_timeout_seconds
    return Sender(
        store,
        blobs,
        partial(public_only_client, allowed=settings.extra_allowed_networks, timeout=timeout),
        public_url=settings.public_url,
        timeout_seconds=timeout,
        on_result=on_result,
    )
