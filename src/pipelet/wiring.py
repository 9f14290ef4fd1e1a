"""Builds the parts from the settings, in reading order. Only this file knows which adapter stands behind a port."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI

from pipelet import __version__
from pipelet.api.app import build_api as build_fastapi
from pipelet.blobs.disk import DiskBlobs
from pipelet.domain import catalog as catalogs
from pipelet.domain.catalog import Catalog, Model
from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import BlobsUnusable, Unusable
from pipelet.domain.ids import new_token
from pipelet.domain.keys import ApiKey, hash_secret, looks_like_key, new_secret
from pipelet.domain.ports import BlobStore, JobStore
from pipelet.engine.process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import Aws, Settings, visible_gpus
from pipelet.store.migrations import HEAD, KNOWN
from pipelet.store.sqlite import SqliteStore, open_sqlite, schema_version
from pipelet.worker.crew import Crew
from pipelet.worker.housekeeping import Housekeeping
from pipelet.worker.worker import Worker, WorkerConfig

clock = SystemClock()


def read_catalog(settings: Settings) -> Catalog:
    """Our entries, the operator's over them, and the chosen model in the text-to-image apps."""
    documents = [(files("pipelet") / "catalog.toml").read_text("utf-8")]
    if settings.catalog is not None:
        try:
            documents.append(settings.catalog.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"The catalog {settings.catalog} cannot be read: {error}.") from error
    catalog = catalogs.parse(*documents)
    if settings.model:
        catalog = catalog.with_model(settings.model)
    models = {app.model for app in catalog.apps.values() if app.is_served}
    if len(models) > 1:
        # A worker holds one model, and requests wait for any worker: those of a second model would wait for ever.
        raise Unusable(f"All apps must be drawn by one model; the catalog names {', '.join(sorted(map(str, models)))}.")
    return catalog


def prepare_data_dir(settings: Settings) -> None:
    """
    Raises:
        Unusable: it cannot be written.
    """
    for folder in (settings.data_dir, settings.database_path.parent):
        probe = folder / f".check-{secrets.token_hex(4)}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold prompts and keys
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise Unusable(
                f"The data directory {folder} cannot be written ({error.strerror}). Make it writable, or choose "
                "another with --data-dir or PIPELET_DATA_DIR."
            ) from error


def migrate(settings: Settings) -> str:
    """Bring the database to this version's schema; answers the revision it then has."""
    prepare_data_dir(settings)
    path, version = settings.database_path, schema_revision(settings)
    if version is None or (version != HEAD and version in KNOWN):
        from pipelet.store.migrations.run import migrate_sqlite  # takes longer to import than a start may

        migrate_sqlite(path)
    return HEAD


def schema_revision(settings: Settings) -> str | None:
    """What the database is at now; None where it is missing or empty."""
    return schema_version(settings.database_path) if settings.database_path.exists() else None


@contextlib.contextmanager
def open_store(settings: Settings) -> Iterator[SqliteStore]:
    store = open_sqlite(settings.database_path)
    try:
        yield store
    finally:
        store.close()


def open_blobs(settings: Settings) -> BlobStore:
    if settings.bucket is not None:
        return _open_s3(settings, *settings.bucket)
    try:
        return DiskBlobs(
            settings.files_folder,
            signing_key=_signing_key(settings.signing_key_file),
            url_seconds=settings.url_seconds,
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
    )


async def ensure_local_key(settings: Settings, store: JobStore) -> str:
    """The key of the user `local`, made at the first start and kept in a file that only its owner reads."""
    secret = _secret_file(settings.local_key_file, new_secret())
    if not looks_like_key(secret):
        raise Unusable(f"{settings.local_key_file} holds no key. Delete the file: a new key is made at the next start.")
    if await store.find_key(hash_secret(secret)) is None:
        key = ApiKey(id=new_token()[:12], name="local", user="local", hash=hash_secret(secret), created_at=clock.now())
        await store.add_key(key)
    return secret


def _signing_key(path: Path) -> bytes:
    text = _secret_file(path, secrets.token_hex(32))
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Unusable(f"{path} holds no signing key. Delete the file: a new key is made at the next start.")
    return key


def _secret_file(path: Path, new: str) -> str:
    """What `path` holds; `new`, where it is missing. Processes that start together agree on one."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        if not path.exists():
            with open(draft, "x", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
                file.write(new + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"The secret in {path} cannot be read: {error}. Delete the file, or mend it.") from error
    finally:
        draft.unlink(missing_ok=True)


def build_api(settings: Settings, *, store: JobStore, blobs: BlobStore, catalog: Catalog) -> FastAPI:
    return build_fastapi(
        store=store,
        blobs=blobs,
        local_files=blobs if isinstance(blobs, DiskBlobs) else None,
        catalog=catalog,
        clock=clock,
        public_url=settings.public_url or None,
        version=__version__,
    )


def build_housekeeping(settings: Settings, *, store: JobStore, blobs: BlobStore) -> Housekeeping:
    return Housekeeping(
        store,
        blobs,
        clock,
        retention_seconds=settings.retention_days * 86400,
        lease_seconds=settings.lease_seconds,
    )


def build_worker(
    settings: Settings, *, name: str | None, store: JobStore, blobs: BlobStore, catalog: Catalog
) -> Worker:
    apps = catalog.served_apps()
    model = catalog.model_of(catalog.apps[apps[0]])
    config = WorkerConfig(
        name=name or f"{socket.gethostname()}-{new_token()[:8]}",
        apps=tuple(app for app in apps if catalog.apps[app].model == model.name),
        model=model,
        version=__version__,
        lease_seconds=settings.lease_seconds,
        grace_seconds=settings.grace_seconds,
    )
    return Worker(config, store=store, blobs=blobs, engine=build_engine(settings, model), clock=clock)


def build_engine(settings: Settings, model: Model) -> EngineProcess:
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

    return check(resolve(model.source))


def build_crew(settings: Settings, *, store: JobStore) -> Crew:
    return Crew(
        crew_devices(settings),
        environment=settings.as_environment(),
        grace_seconds=settings.grace_seconds,
        store=store,
        clock=clock,
    )


def crew_devices(settings: Settings) -> list[str]:
    """A device for each worker beside the API: every GPU once, where the settings leave it open."""
    if settings.device != "auto":
        return [settings.device] * (1 if settings.workers < 0 else settings.workers)
    gpus = count_gpus()
    if gpus == 0:
        return ["auto"] * (1 if settings.workers < 0 else settings.workers)
    workers = gpus if settings.workers < 0 else settings.workers
    return [f"cuda:{number % gpus}" for number in range(workers)]


def count_gpus() -> int:
    """NVIDIA's own tool is asked, because this process does without torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listing = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, timeout=30)  # noqa: S603
    there = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    visible = visible_gpus()
    return there if visible is None else min(there, visible)
