"""Builds the parts from the settings, in reading order. Only this room knows which adapter stands behind a port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING

from pipelet import USER_AGENT, __version__
from pipelet.blobs.disk import DiskBlobs
from pipelet.domain import webhook_keys
from pipelet.domain.catalog import Catalog, Model
from pipelet.domain.errors import BlobsUnusable, Unusable
from pipelet.domain.ids import new_token
from pipelet.domain.keys import ApiKey, hash_secret, looks_like_key, new_secret
from pipelet.domain.ports import BlobStore, JobStore
from pipelet.engine.sources import resolve
from pipelet.settings import Aws, Settings
from pipelet.store.migrations import HEAD, KNOWN
from pipelet.store.sqlite import open_sqlite, schema_version
from pipelet.wiring.catalog import fetch_description as fetch_description
from pipelet.wiring.catalog import log_model as log_model
from pipelet.wiring.catalog import read_catalog as read_catalog
from pipelet.wiring.data_dir import create_database_file, permissions_of, prepare_data_dir
from pipelet.wiring.devices import crew_devices
from pipelet.wiring.secret_files import secret_in, signing_key
from pipelet.worker.crew import Crew
from pipelet.worker.housekeeping import Housekeeping

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipelet.api.downloads import Fetchers
    from pipelet.engine.process import EngineProcess
    from pipelet.network import Proxy
    from pipelet.webhooks.sender import Sender
    from pipelet.worker.worker import Worker


def model_of_workers(settings: Settings, catalog: Catalog) -> Model:
    """What a worker with these settings draws with.

    Raises:
        Unusable: the catalog leaves it open.
    """
    if settings.app:
        if settings.app not in catalog.apps:
            raise Unusable(f"There is no app {settings.app!r} in the catalog; it has {', '.join(catalog.apps)}.")
        return catalog.model_of(catalog.apps[settings.app])
    apps = {app.model: name for name, app in catalog.apps.items() if app.is_served}
    if len(apps) > 1:
        # A worker holds one model. Choosing for the operator would leave the requests of the others waiting.
        raise Unusable(
            f"The catalog has apps of several models ({', '.join(sorted(map(str, apps)))}), and a worker draws with "
            f"one: say for which app, such as --app {min(apps.values())}. `pipelet serve` needs that, too, unless it "
            "has no workers of its own (--workers 0)."
        )
    return catalog.models[next(iter(apps))]  # type: ignore[index]


def migrate(settings: Settings) -> str:
    """Bring the database to this version's schema; answers the revision it then has."""
    prepare_data_dir(settings)
    version = schema_revision(settings)
    if version is None or (version != HEAD and version in KNOWN):
        from pipelet.store.migrations import run  # takes longer to import than a start may

        if settings.is_shared:
            run.migrate_postgres(settings.database_url)
        else:
            create_database_file(settings)
            run.migrate_sqlite(settings.database_path)
    return HEAD


def schema_revision(settings: Settings) -> str | None:
    """What the database is at now; None where it is missing or empty."""
    if settings.is_shared:
        from pipelet.store import postgres  # its driver is not needed otherwise

        return asyncio.run(postgres.schema_version(settings.database_url))
    permissions_of(settings).refuse_foreign(settings.database_path)
    return schema_version(settings.database_path) if settings.database_path.exists() else None


def require_creatable(settings: Settings) -> None:
    """
    Raises:
        StoreUnusable: `migrate` could not create its tables in a database that is empty.
    """
    if settings.is_shared:
        from pipelet.store import postgres  # its driver is not needed otherwise

        asyncio.run(postgres.require_creatable(settings.database_url))


@contextlib.asynccontextmanager
async def open_store(settings: Settings, *, writes: bool = False) -> AsyncIterator[JobStore]:
    """`writes`: a shared database that cannot be written is refused, as a service has no use for it."""
    if settings.is_shared:
        from pipelet.store.postgres import open_postgres  # its driver is not needed otherwise

        most = settings.database_connections
        async with open_postgres(settings.database_url, most_connections=most, writes=writes) as shared:
            yield shared
        return
    permissions = permissions_of(settings)
    permissions.refuse_foreign(settings.database_path)
    embedded = open_sqlite(settings.database_path, permissions)
    try:
        yield embedded
    finally:
        embedded.close()


def open_blobs(settings: Settings) -> BlobStore:
    if settings.bucket is not None:
        return _open_s3(settings, *settings.bucket)
    permissions = permissions_of(settings)
    for path in (settings.files_folder, settings.signing_key_file.parent):
        permissions.refuse_foreign(path)
    try:
        return DiskBlobs(
            settings.files_folder,
            signing_key=signing_key(settings.signing_key_file, permissions),
            url_seconds=settings.url_seconds,
            permissions=permissions,
        )
    except OSError as error:
        raise BlobsUnusable(f"{settings.files_folder} cannot be used: {error.strerror}.") from error


def _open_s3(settings: Settings, bucket: str, prefix: str) -> BlobStore:
    from pipelet.blobs.s3 import S3Blobs  # with a library that whoever keeps files on disk can do without

    aws = Aws()
    # AWS itself wants the name in the host, where it fits into the certificate: a dot in it does not.
    at_aws = not aws.endpoint and "." not in bucket
    return S3Blobs(
        bucket,
        prefix=prefix,
        region=aws.bucket_region,
        endpoint=aws.endpoint,
        public_endpoint=settings.s3_public_url or aws.endpoint,
        virtual_hosted=at_aws if settings.s3_addressing == "auto" else settings.s3_addressing == "virtual",
        access_key_id=aws.access_key_id,
        secret_access_key=aws.secret_access_key,
        session_token=aws.session_token,
        url_seconds=settings.url_seconds,
        proxy=_proxy_for_bucket(aws.endpoint),
    )


def _proxy_for_bucket(endpoint: str) -> "Proxy | None":
    """
    Raises:
        BlobsUnusable: the environment names a proxy that cannot be used.
    """
    from pipelet.network import ProxyUnusable, proxy_for

    try:
        return proxy_for(endpoint or "https://s3.amazonaws.com")
    except ProxyUnusable as error:
        raise BlobsUnusable(str(error)) from error


async def ensure_local_key(settings: Settings, store: JobStore) -> str | None:
    """The key of the user `local`, made at the first start and kept in a file that only its owner reads.

    None on a shared database, where one would be added for good with every machine and container that comes and goes.
    """
    if settings.is_shared:
        return None
    secret = secret_in(settings.local_key_file, new_secret(), permissions_of(settings))
    if not looks_like_key(secret):
        raise Unusable(f"{settings.local_key_file} holds no key. Delete the file: a new key is made at the next start.")
    if await store.find_key(hash_secret(secret)) is None:
        now = store.clock.now()
        key = ApiKey(id=new_token()[:12], name="local", user="local", hash=hash_secret(secret), created_at=now)
        await store.add_key(key)
    return secret


@contextlib.asynccontextmanager
async def open_fetchers(settings: Settings) -> AsyncIterator["Fetchers"]:
    """What fetches the pictures that an edit starts from."""
    import httpx2

    from pipelet.api.downloads import Fetchers  # with what reads pictures
    from pipelet.outbound import guarded_client

    strangers = guarded_client(allowed=settings.networks_beside_public, max_redirects=3)
    proxy = None if settings.bucket is None else _proxy_for_bucket(settings.s3_public_url or Aws().endpoint)
    # With a transport of our own it asks the environment for certificates, and not for proxies.
    transport = httpx2.AsyncHTTPTransport(proxy=None if proxy is None else proxy.url)
    headers = {"User-Agent": USER_AGENT}
    async with strangers, httpx2.AsyncClient(transport=transport, timeout=10.0, headers=headers) as storage:
        yield Fetchers(strangers=strangers, storage=storage)


def build_api(
    settings: Settings, *, store: JobStore, blobs: BlobStore, catalog: Catalog, fetchers: "Fetchers | None" = None
) -> "FastAPI":
    from pipelet.api.app import build_api as build_fastapi  # which takes longer to import than a command may
    from pipelet.outbound import may_reach

    return build_fastapi(
        store=store,
        blobs=blobs,
        local_files=blobs if isinstance(blobs, DiskBlobs) else None,
        catalog=catalog,
        clock=store.clock,
        public_url=settings.public_url or None,
        may_call=partial(may_reach, allowed=settings.networks_beside_public),
        fetchers=fetchers,
        allowed_origins=settings.origins,
        most_held=settings.open_streams,
        version=__version__,
    )


async def ensure_webhook_keys(store: JobStore) -> None:
    """All who share the database sign with the keys that the first of them made."""
    from pipelet.webhooks.sign import new_pair  # its library is not needed otherwise

    if not await store.outbox.keys():
        now = store.clock.now()
        await store.outbox.change_keys(lambda keys: webhook_keys.begun(keys, new_pair, now))


def build_sender(settings: Settings, *, store: JobStore, blobs: BlobStore, tell: Callable[[str], None]) -> "Sender":
    from pipelet.outbound import guarded_client
    from pipelet.webhooks.sender import Sender  # its library is not needed otherwise

    return Sender(
        store,
        blobs,
        store.clock,
        partial(guarded_client, allowed=settings.networks_beside_public, timeout=settings.webhook_seconds),
        public_url=settings.public_url or None,
        answer_seconds=settings.webhook_seconds,
        tell=tell,
    )


def build_housekeeping(settings: Settings, *, store: JobStore, blobs: BlobStore) -> Housekeeping:
    return Housekeeping(
        store,
        blobs,
        store.clock,
        retention_seconds=settings.retention_days * 86400,
        lease_seconds=settings.lease_seconds,
    )


def build_worker(
    settings: Settings, *, name: str | None, store: JobStore, blobs: BlobStore, catalog: Catalog
) -> "Worker":
    from pipelet.worker.worker import Worker, WorkerConfig  # with what encodes pictures

    model = model_of_workers(settings, catalog)
    config = WorkerConfig(
        name=name or f"{socket.gethostname()}-{new_token()[:8]}",
        apps=catalog.apps_of(model.name),
        model=model,
        version=__version__,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.grace_seconds,
        writes_metadata=settings.image_metadata == "full",
    )
    return Worker(config, store=store, blobs=blobs, engine=build_engine(settings, model), clock=store.clock)


def build_engine(settings: Settings, model: Model) -> "EngineProcess":
    from pipelet.engine.process import EngineProcess

    return EngineProcess(
        model=model,
        source=resolve(model.source),
        device=settings.device,
        threads=settings.threads or None,
        load_timeout=settings.load_seconds,
        stall_timeout=settings.stall_seconds,
    )


def find_model(model: Model) -> str | None:
    """The folder of its checkpoint, looked through; None where its source is a hub id.

    Raises:
        ModelUnusable: it is not there, or damaged.
        ImportError: the engine extra is not installed.
    """
    from pipelet.engine.checkpoint import check  # needs the engine extra, which the API alone does without

    return check(resolve(model.source), variant=model.variant, allow_pickle=model.allow_pickle)


def build_crew(settings: Settings, *, store: JobStore) -> Crew:
    return Crew(
        crew_devices(settings),
        host=socket.gethostname(),
        environment=settings.as_environment(),
        grace_seconds=settings.grace_seconds,
        store=store,
        clock=store.clock,
    )
