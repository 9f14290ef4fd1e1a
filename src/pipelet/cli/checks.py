"""What `pipelet doctor` looks at. Each check answers what it found, and how to mend what is wrong."""

import asyncio
import contextlib
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from pipelet import __version__, settings, wiring
from pipelet.cli import engine_checks, proxy_checks
from pipelet.cli.connection import is_ours
from pipelet.cli.findings import Check, Finding, fail, ok, warn
from pipelet.cli.metrics_server import listen_for_metrics
from pipelet.client import Client, ClientError, Health, KeyNotAccepted, ServiceAway, UnknownRequest, Unreachable
from pipelet.domain.catalog import Model
from pipelet.domain.errors import PipeletError, Unusable
from pipelet.domain.keys import looks_like_key
from pipelet.settings import Settings
from pipelet.store.sqlite_base import free_bytes
from pipelet.wiring.data_dir import check_data_dir, readable_by_others

_FREE_GIGABYTES = 1.0
_FREE_MEGABYTES_IN_DATABASE = 100.0
_LEAST_GIGABYTES = 0.001
"""With less, a picture cannot be stored."""
_ANSWER_SECONDS = 5.0
_NO_REQUEST = "0" * 20


def checks_of_machine() -> Iterator[tuple[str, Check]]:
    """Those that need no settings."""
    yield "python", _python
    yield "packages", engine_checks.packages
    yield "png", engine_checks.png


def checks_of_installation(chosen: Settings) -> Iterator[tuple[str, Check]]:
    """Those of what the settings name, in the order in which they stand on one another."""
    yield "data directory", lambda: _data_dir(chosen)
    yield "disk", lambda: _disk(chosen)
    yield "database", lambda: _database(chosen)
    yield "files", lambda: _files(chosen)
    yield "local key", lambda: _local_key(chosen)
    yield "model", lambda: _with_model(chosen, engine_checks.model_is_there)
    yield "engine", lambda: _with_model(chosen, lambda model: engine_checks.engine_works(model, chosen))
    if chosen.metrics_address:
        yield "metrics", lambda: _metrics(chosen)
    yield "proxies", lambda: proxy_checks.forwarded_headers(chosen)
    yield "service", lambda: _service(chosen)


def read_settings(**flags: object) -> tuple[Settings | None, Finding]:
    try:
        chosen = settings.load(**flags)
    except Unusable as error:
        return None, fail(str(error), "Change these; the checks of what they name were left out.")
    return chosen, ok(f"data directory {chosen.data_dir}, service {chosen.service_url}")


def _python() -> Finding:
    return ok(f"{platform.python_version()} on {platform.system()} {platform.machine()}, Pipelet {__version__}")


def _data_dir(chosen: Settings) -> Finding:
    if not chosen.data_dir.exists():
        parent = _nearest(chosen.data_dir)
        if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
            return ok(f"{chosen.data_dir} is not there yet: the first start makes it")
        return fail(
            f"{chosen.data_dir} cannot be made in {parent}", "Choose another with --data-dir or PIPELET_DATA_DIR."
        )
    try:
        check_data_dir(chosen)
    except Unusable as error:
        return fail(str(error), "Do that, or choose another: --data-dir or PIPELET_DATA_DIR.")
    if readable := readable_by_others(chosen):
        paths = ", ".join(map(str, readable))
        return warn(f"other users can read {paths}", "The next start of the service changes that.")
    return ok(f"{chosen.data_dir.resolve()} can be written")


def _disk(chosen: Settings) -> Finding:
    folder = chosen.data_dir if chosen.bucket else chosen.files_folder
    free = shutil.disk_usage(_nearest(folder)).free / 1e9
    detail = f"{free:,.1f} GB free for {folder}"
    if free >= _FREE_GIGABYTES:
        return ok(detail)
    found = warn if free > _LEAST_GIGABYTES else fail
    return found(detail, "Free some space, or keep finished requests for a shorter time: PIPELET_RETENTION_DAYS.")


def _database(chosen: Settings) -> Finding:
    name = chosen.database_name
    try:
        revision = wiring.schema_revision(chosen)
        if revision is None:
            wiring.require_creatable(chosen)
            return ok(f"{name} is not there yet: the first start makes it")
        asyncio.run(_open_store(chosen))
        return _space_in_database(chosen, f"{name} is at revision {revision}")
    except Unusable as error:
        return fail(str(error), "Do that, or name another database: PIPELET_DATABASE_URL.")


def _space_in_database(chosen: Settings, detail: str, least_megabytes: float = _FREE_MEGABYTES_IN_DATABASE) -> Finding:
    """SQLite keeps pages that nothing uses any more for later; the file becomes no smaller by itself."""
    if chosen.is_shared:
        return ok(detail)
    free, size = (count / 1e6 for count in free_bytes(chosen.database_path))
    if free < max(least_megabytes, size / 2):
        return ok(detail)
    return warn(
        f"{detail}; {free:,.0f} of its {size:,.0f} MB are free pages",
        f"To give them back to the disk, stop the service and run: sqlite3 {chosen.database_path} VACUUM",
    )


async def _open_store(chosen: Settings) -> None:
    async with wiring.open_store(chosen, writes=True) as store:
        await store.check()


def _files(chosen: Settings) -> Finding:
    if chosen.bucket:
        return _files_on_s3(chosen)
    if not chosen.files_folder.exists():
        return ok(f"{chosen.files_folder} is not there yet: the first start makes it")
    try:
        asyncio.run(wiring.open_blobs(chosen).check())
    except (Unusable, OSError) as error:
        return fail(str(error), "Do that, or choose another folder: PIPELET_BLOBS_URL.")
    return ok(f"{chosen.files_folder} can be written")


def _files_on_s3(chosen: Settings) -> Finding:
    try:
        asyncio.run(wiring.open_blobs(chosen).check())
    except Unusable as error:
        return fail(str(error), "Change that; requests are accepted meanwhile, and their files wait.")
    return ok(f"{chosen.blobs_url} can be written")


def _local_key(chosen: Settings) -> Finding:
    file = chosen.local_key_file
    if not file.exists():
        return ok(f"{file} is not there" + ("" if chosen.is_shared else " yet: the first start makes it"))
    try:
        secret = file.read_text().strip()
    except OSError as error:
        return fail(f"{file} cannot be read: {error.strerror}", "Make it readable for this user.")
    if not looks_like_key(secret):
        return fail(f"{file} holds no key", "Delete the file: a new key is made at the next start.")
    if file in readable_by_others(chosen):
        return warn(f"{file} can be read by others", f"chmod 600 {file}")
    return ok(f"{file} holds one")


def _with_model(chosen: Settings, check: Callable[[Model], Finding]) -> Finding:
    try:
        catalog = wiring.read_catalog(chosen)
        return check(wiring.model_of_workers(chosen, catalog))
    except Unusable as error:
        return fail(str(error), "Change PIPELET_CATALOG, PIPELET_MODEL or PIPELET_APP.")


def _service(chosen: Settings) -> Finding:
    if not chosen.url and _is_free(chosen):
        return ok(f"none is running; port {chosen.port} is free")
    try:
        with Client(chosen.service_url, _key(chosen), timeout=_ANSWER_SECONDS) as client:
            return _health(client, client.health(), has_key=_key(chosen) is not None)
    except ServiceAway as error:
        if not isinstance(error, Unreachable):
            return fail(str(error), "Correct that, or say where the service is with --url or PIPELET_URL.")
        if chosen.url:
            return fail(str(error), "Start it with `pipelet serve`, or say where it is with --url or PIPELET_URL.")
        return fail(f"port {chosen.port} is taken by something else: {error}", "Choose another port: PIPELET_PORT.")
    except PipeletError as error:
        return fail(str(error), "Give a valid key with --key-file or PIPELET_KEY.")


def _metrics(chosen: Settings) -> Finding:
    try:
        listener = listen_for_metrics(chosen)
    except Unusable as error:
        if _answers_with_metrics(chosen.metrics_address):
            return ok(f"the service tells them at {chosen.metrics_address}")
        return fail(str(error), "Do that: PIPELET_METRICS_ADDRESS.")
    if listener is not None:
        listener.close()
    return ok(f"none are told yet; {chosen.metrics_address} is free")


def _answers_with_metrics(address: str) -> bool:
    try:
        answer = httpx2.get(f"http://{address}/metrics", timeout=_ANSWER_SECONDS, trust_env=False)
    except httpx2.HTTPError:
        return False
    return answer.status_code == 503 or "pipelet_" in answer.text  # the former while the database is away


def _key(chosen: Settings) -> str | None:
    if chosen.key:
        return chosen.key
    with contextlib.suppress(OSError):
        if is_ours(chosen):
            return chosen.local_key_file.read_text().strip()
    return None


def _health(client: Client, health: Health, *, has_key: bool) -> Finding:
    where = f"Pipelet{health.version and f' {health.version}'} answers at {client.base_url}"
    if not health.is_ready:
        bad = [f"{name}: {found}" for name, found in health.checks.items() if found != "ok"]
        return fail(f"{where}, but is not ready: {'; '.join(bad)}", "Mend that; the service goes on by itself.")
    if not has_key:
        return ok(f"{where}; what its workers say is told with a key: --key or PIPELET_KEY")
    try:
        client.status(_NO_REQUEST)
    except UnknownRequest:
        pass  # so the key was accepted
    except KeyNotAccepted as error:
        return warn(
            f"{where}, but does not take the key here: {error}", "Give a valid key with --key-file or PIPELET_KEY."
        )
    except ClientError as error:
        return fail(f"{where}, but not as it should: {error}", "See its log.")
    troubles = [f"worker {worker['kind']}: {worker['problem']}" for worker in health.workers if worker["problem"]]
    if troubles or health.notes:
        return warn(
            f"{where}. {' '.join([*troubles, *health.notes])}", "See the service's log for what the workers say."
        )
    return ok(f"{where} with {_counted(health.workers)}")


def _counted(workers: tuple[Any, ...]) -> str:
    kinds = [worker["kind"] for worker in workers]
    return ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))


def _is_free(chosen: Settings) -> bool:
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError:
            return False
        return True


def _nearest(path: Path) -> Path:
    """The path itself, or the closest folder above that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
