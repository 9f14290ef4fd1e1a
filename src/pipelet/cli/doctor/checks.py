"""Checks of the machine and of what the settings name. Each returns a finding, with a fix where one is needed."""

import asyncio
import contextlib
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx2

from pipelet import __version__, settings
from pipelet.cli.doctor import Check, Finding, engine_checks, fail, limit_checks, ok, tls_checks, warn
from pipelet.cli.listen import listen, listen_for_metrics
from pipelet.cli.options import local_key, own_certificate
from pipelet.client import Client
from pipelet.client_types import (
    AuthenticationError,
    ClientError,
    Health,
    RequestNotFound,
    ServiceUnavailable,
    Unreachable,
)
from pipelet.domain.accounts.api_keys import is_well_formed
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import OperationalError, PipeletError
from pipelet.http_server.trusted_proxies import TrustedProxies
from pipelet.services.accounts.keys import has_key_for_keys
from pipelet.settings import Settings
from pipelet.settings.addresses import networks
from pipelet.store.migrations import HEAD
from pipelet.store.sqlite.connection.connect import free_bytes, log_readers
from pipelet.system.processes import process_name
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.catalog import models_of_workers, read_catalog
from pipelet.wiring.data_dir import check_data_dir, readable_by_others
from pipelet.wiring.keys import FIRST_KEY_COMMAND
from pipelet.wiring.store import check_writable, open_store, require_creatable, schema_revision

_WARN_GIGABYTES = 1.0
_WARN_FREE_MEGABYTES_IN_DATABASE = 100.0
_MIN_GIGABYTES = 0.001
"""With less, an image cannot be stored."""
_TIMEOUT = 5.0
_NO_REQUEST = "0" * 20
_FORWARDED = (
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"proxy.example"),
)
_IGNORED_VARIABLE = "FORWARDED_ALLOW_IPS"


def checks_of_machine() -> Iterator[tuple[str, Check]]:
    """Yield the checks that need no settings."""
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "python", lambda: ok(f"{python}, Pipelet {__version__}")
    yield "packages", engine_checks.packages
    yield "png", engine_checks.png


def checks_of_installation(chosen: Settings) -> Iterator[tuple[str, Check]]:
    """Yield the checks of what the settings name; later ones depend on earlier ones."""
    yield "data directory", lambda: _data_dir(chosen)
    yield "disk", lambda: _disk(chosen)
    yield "database", lambda: _database(chosen)
    if not chosen.postgres_url and chosen.database_path.exists():
        yield "database log", lambda: _database_log(chosen)
    yield "files", lambda: _files(chosen)
    yield "local key", lambda: _local_key(chosen)
    yield "keys", lambda: _keys(chosen)
    yield "limits", lambda: limit_checks.default_limits(chosen)
    yield "model", lambda: _with_models(chosen, engine_checks.models_are_there)
    yield "engine", lambda: _with_models(chosen, lambda models: engine_checks.engines_work(models, chosen))
    if chosen.metrics_address:
        yield "metrics", lambda: _metrics(chosen)
    yield "proxies", lambda: forwarded_headers(chosen)
    yield "tls", lambda: tls_checks.tls(chosen)
    yield "service", lambda: _service(chosen)


def read_settings(**flags: object) -> tuple[Settings | None, Finding]:
    try:
        chosen = settings.load(**flags)
    except OperationalError as error:
        return None, fail(str(error), "Change these; the other checks were skipped.")
    return chosen, ok(f"data directory {chosen.data_dir}, service {chosen.service_url}")


def _data_dir(chosen: Settings) -> Finding:
    if not chosen.data_dir.exists():
        parent = _nearest_existing(chosen.data_dir)
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return ok(f"{chosen.data_dir} does not exist yet; the first start creates it")
        return fail(
            f"creating {chosen.data_dir} in {parent} failed", "Choose another with --data-dir or PIPELET_DATA_DIR."
        )
    try:
        check_data_dir(chosen)
    except OperationalError as error:
        return fail(str(error), "Fix that, or choose another: --data-dir or PIPELET_DATA_DIR.")
    if readable := readable_by_others(chosen):
        paths = ", ".join(map(str, readable))
        return warn(f"other users can read {paths}", "The next start of the service changes their permissions.")
    return ok(f"{chosen.data_dir.resolve()} is writable")


def _disk(chosen: Settings) -> Finding:
    folder = chosen.data_dir if chosen.bucket else chosen.files_folder
    free = shutil.disk_usage(_nearest_existing(folder)).free / 1e9
    detail = f"{free:,.1f} GB free for {folder}"
    if free >= _WARN_GIGABYTES:
        return ok(detail)
    found = warn if free > _MIN_GIGABYTES else fail
    return found(detail, "Free some space, or shorten PIPELET_RETENTION_DAYS.")


def _database(chosen: Settings) -> Finding:
    name = chosen.database_name
    try:
        revision = schema_revision(chosen)
        if revision is None:
            require_creatable(chosen)
            return ok(f"{name} does not exist yet; the first start creates it")
        check_writable(chosen)
        return _database_space(chosen, f"{name} is at revision {revision}")
    except OperationalError as error:
        return fail(str(error), "Fix that, or choose another database: PIPELET_DATABASE_URL.")


def _database_space(chosen: Settings, detail: str, min_megabytes: float = _WARN_FREE_MEGABYTES_IN_DATABASE) -> Finding:
    """Warn about free pages: SQLite keeps them for later, so its file does not shrink by itself."""
    if chosen.postgres_url:
        return ok(detail)
    free, size = (count / 1e6 for count in free_bytes(chosen.database_path))
    if free < max(min_megabytes, size / 2):
        return ok(detail)
    return warn(
        f"{detail}; {free:,.0f} of its {size:,.0f} MB are free pages",
        f"To free that space on the disk, stop the service and run: sqlite3 {chosen.database_path} VACUUM",
    )


def _database_log(chosen: Settings) -> Finding:
    """Warn about processes that keep deleted content in the write-ahead log."""
    log = chosen.database_path.with_name(f"{chosen.database_path.name}-wal")
    readers = log_readers(chosen.database_path)
    if not readers:
        return ok(f"no long read keeps deleted content in {log.name}")
    named = ", ".join(f"{process_name(pid)} (process {pid})" for pid in readers)
    return warn(
        f"{named} reads the database for long; deleted content stays in {log} until that ends",
        "End its transaction, or the process.",
    )


def _files(chosen: Settings) -> Finding:
    place, fix = str(chosen.files_folder), "Fix that, or choose another folder: PIPELET_BLOBS_URL."
    if chosen.bucket:
        place, fix = str(chosen.blobs_url), "Fix that; until then, requests are accepted and their files wait."
    elif not chosen.files_folder.exists():
        return ok(f"{place} does not exist yet; the first start creates it")
    try:
        asyncio.run(open_blobs(chosen).check())
    except (OperationalError, OSError) as error:
        return fail(str(error), fix)
    return ok(f"{place} is writable")


def _local_key(chosen: Settings) -> Finding:
    file = chosen.local_key_file
    if not file.exists():
        return ok(f"{file} does not exist" + ("" if chosen.postgres_url else " yet; the first start creates it"))
    try:
        secret = file.read_text().strip()
    except OSError as error:
        return fail(f"reading {file} failed: {error.strerror}", "Make it readable for this user.")
    if not is_well_formed(secret):
        return fail(f"{file} holds no key", "Delete the file; the next start makes a new key.")
    if file in readable_by_others(chosen):
        return warn(f"other users can read {file}", f"chmod 600 {file}")
    return ok(f"{file} holds a key")


def _keys(chosen: Settings) -> Finding:
    """Look for a key that manages the others. The first start makes one, unless the database is shared."""
    try:
        if schema_revision(chosen) != HEAD:
            return ok("the database is not set up yet")
        if asyncio.run(_has_key_for_keys(chosen)):
            return ok("a valid key has the scope `keys`")
    except OperationalError:
        return warn("not looked at, because the database cannot be read", "Fix the database.")
    if not chosen.postgres_url and not chosen.local_key_file.exists():
        return ok("no valid key has the scope `keys` yet; the first start makes one")
    return warn("no valid key has the scope `keys`", f"Make one: {FIRST_KEY_COMMAND}")


async def _has_key_for_keys(chosen: Settings) -> bool:
    async with open_store(chosen) as store:
        return await has_key_for_keys(store)


def _with_models(chosen: Settings, check: Callable[[Sequence[ModelConfig]], Finding]) -> Finding:
    try:
        return check(models_of_workers(chosen, read_catalog(chosen)))
    except OperationalError as error:
        return fail(str(error), "Change PIPELET_CATALOG, PIPELET_MODEL or PIPELET_WORKER_APP.")


def _service(chosen: Settings) -> Finding:
    if not chosen.api_url and _is_free(chosen):
        return ok(f"not running; port {chosen.port} is free")
    key = _key(chosen)
    try:
        with Client(chosen.service_url, key, timeout=_TIMEOUT, ca_file=own_certificate(chosen)) as client:
            return _health(client, client.health(), has_key=key is not None)
    except ServiceUnavailable as error:
        if not isinstance(error, Unreachable):
            return fail(str(error), "Fix that, or give the URL of the service: --url or PIPELET_API_URL.")
        if chosen.api_url:
            return fail(str(error), "Start it with `pipelet serve`, or give its URL: --url or PIPELET_API_URL.")
        return fail(f"another program listens on port {chosen.port}: {error}", "Choose another port: PIPELET_PORT.")
    except PipeletError as error:
        return fail(str(error), "Give a valid key with --key-file or PIPELET_API_KEY.")


def _metrics(chosen: Settings) -> Finding:
    try:
        listener = listen_for_metrics(chosen)
    except OperationalError as error:
        if _serves_metrics(str(chosen.metrics_address)):
            return ok(f"the service exposes them at {chosen.metrics_address}")
        return fail(str(error), "Fix that: PIPELET_METRICS_ADDRESS.")
    if listener is not None:
        listener.close()
    return ok(f"not exposed yet; {chosen.metrics_address} is free")


def _serves_metrics(address: str) -> bool:
    try:
        response = httpx2.get(f"http://{address}/metrics", timeout=_TIMEOUT, trust_env=False)
    except httpx2.HTTPError:
        return False
    return response.status_code == 503 or "pipelet_" in response.text  # 503 while the database is unavailable


def _key(chosen: Settings) -> str | None:
    with contextlib.suppress(OperationalError):
        return chosen.api_key or local_key(chosen)
    return None


def _health(client: Client, health: Health, *, has_key: bool) -> Finding:
    where = f"Pipelet{health.version and f' {health.version}'} runs at {client.base_url}"
    if not health.is_ready:
        bad = [f"{name}: {found}" for name, found in health.checks.items() if found != "ok"]
        return fail(f"{where}, but is not ready: {'; '.join(bad)}", "Fix that; the service recovers by itself.")
    if not has_key:
        return ok(f"{where}; to check its workers, give a key: --key-file or PIPELET_API_KEY")
    try:
        client.status(_NO_REQUEST)
    except RequestNotFound:
        pass  # the key was accepted
    except AuthenticationError as error:
        return warn(f"{where}, but rejects this key: {error}", "Give a valid key with --key-file or PIPELET_API_KEY.")
    except ClientError as error:
        return fail(f"{where}, but its response is invalid: {error}", "See its log.")
    problems = [f"worker {worker['kind']}: {worker['problem']}" for worker in health.workers if worker["problem"]]
    if problems or health.notes:
        return warn(
            f"{where}. {' '.join([*problems, *health.notes])}", "See the messages of the workers in the service's log."
        )
    kinds = Counter(str(worker["kind"]) for worker in health.workers)
    return ok(f"{where} with {', '.join(f'{number} × {kind}' for kind, number in kinds.items())}")


def forwarded_headers(chosen: Settings) -> Finding:
    """Report how the service would read a request that a proxy forwards."""
    trusted = networks(chosen.trusted_proxies)
    if _IGNORED_VARIABLE in os.environ:
        return warn(f"{_IGNORED_VARIABLE} is set, and Pipelet does not read it", "Set PIPELET_TRUSTED_PROXIES instead.")
    if not trusted:
        return ok("X-Forwarded-* headers are trusted from no address: the client is the address that connects")
    if any(network.prefixlen == 0 for network in trusted):
        return warn(
            "X-Forwarded-* headers are trusted from every address, so any client can claim any address",
            "Set PIPELET_TRUSTED_PROXIES to the addresses of your proxies only.",
        )
    proxy = trusted[0][min(1, trusted[0].num_addresses - 1)]
    client, scheme, host = TrustedProxies(trusted).read(_FORWARDED)
    base_url = chosen.public_url or f"{scheme}://{(host or b'').decode()}"
    sent = ", ".join(f"{name.decode()}: {value.decode()}" for name, value in _FORWARDED)
    return ok(
        f"X-Forwarded-* headers are trusted from {chosen.trusted_proxies}. A request from {proxy} with {sent} "
        f"counts as one of {client}; the URLs in the response begin with {base_url}"
    )


def _is_free(chosen: Settings) -> bool:
    with contextlib.suppress(OSError):
        listen(chosen.host, chosen.port, backlog=1).close()
        return True
    return False


def _nearest_existing(path: Path) -> Path:
    """Return the path itself, or its closest parent that exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
