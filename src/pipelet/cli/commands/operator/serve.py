"""`pipelet serve`: the API and its workers, started and stopped together."""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
from starlette.applications import Starlette

from pipelet import logs, settings, tracing
from pipelet.cli.banner import banner
from pipelet.cli.database import operator, wait_for_database
from pipelet.cli.listen import listen_for_api, listen_for_metrics
from pipelet.cli.options import DataDir, Device, ModelName, WorkerApp, setting
from pipelet.cli.signals import on_stop_signals
from pipelet.concurrency.background import background
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound, PipeletError
from pipelet.domain.ports.store import Store
from pipelet.http_server.limits import Limits
from pipelet.http_server.server import Server
from pipelet.services.accounts.keys import has_key_for_keys
from pipelet.services.accounts.maintenance import INTERVAL_SECONDS as _ACCOUNTS_INTERVAL
from pipelet.services.accounts.sessions import create_login_code
from pipelet.services.queue.accounting import INTERVAL_SECONDS as _ACCOUNTING_INTERVAL
from pipelet.services.queue.accounting import Accounting
from pipelet.services.queue.diagnosis import Diagnosis
from pipelet.services.queue.maintenance import INTERVAL_SECONDS
from pipelet.services.queue.storage import INTERVAL_SECONDS as _STORAGE_INTERVAL
from pipelet.services.queue.storage import sample_storage
from pipelet.settings import Settings
from pipelet.settings.addresses import local_url, networks
from pipelet.wiring.api import build_api, open_http_clients
from pipelet.wiring.background import build_maintenance, build_sender
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.catalog import apps_of_workers, fetch_description, log_model, read_catalog
from pipelet.wiring.data_dir import prepare_data_dir
from pipelet.wiring.keys import FIRST_KEY_COMMAND, ensure_local_key, ensure_webhook_keys, find_login_key
from pipelet.wiring.store import migrate, open_store
from pipelet.wiring.supervisor import build_supervisor, places_on_all_devices
from pipelet.worker.supervisor import Place

if TYPE_CHECKING:
    from pipelet.wiring.tls import ServerCertificate

log = structlog.get_logger()

_OPEN_FILES = (65_536, 61_440, 24_576, 10_240)
"""Limits of open files to ask for; the process takes the first that the system grants."""
_RETENTION_INTERVAL = 60.0
_SENDER_RESTART_DELAY = 1.0
_REFUSALS_INTERVAL = 5.0
_MAX_METRICS_CONNECTIONS = 50
_CERTIFICATE_INTERVAL = 3600.0


def serve(
    *,
    host: Annotated[str | None, setting("host")] = None,
    port: Annotated[int | None, setting("port")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int | Literal["auto"] | None, setting("workers")] = None,
    model: ModelName = None,
    app: WorkerApp = None,
    device: Device = None,
    tls: Annotated[bool | None, setting("tls", default="plain HTTP")] = None,
    tls_cert: Annotated[Path | None, setting("tls_cert")] = None,
    tls_key: Annotated[Path | None, setting("tls_key")] = None,
    tls_name: Annotated[str | None, setting("tls_name", default="none")] = None,
) -> None:
    """Run the service: the API and, for each model, one worker on each GPU, or one on the CPU.

    It stores everything in the data directory. The first start makes a key for the user `local` and stores it there,
    so that `pipelet generate` on this machine needs no flags; on PostgreSQL, `pipelet keys create NAME --admin` makes
    the first key.
    Stop it with Ctrl-C: running requests may finish first, within a grace period.
    """
    chosen = settings.load(
        host=host,
        port=port,
        data_dir=data_dir,
        workers=workers,
        model=model,
        worker_app=app,
        device=device,
        tls=tls,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_name=tls_name,
    )
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    fetch_description(chosen)
    catalog = read_catalog(chosen)
    log_model(chosen, catalog)
    # Here, where the operator sees an error, instead of in each worker.
    places = places_on_all_devices(chosen, apps_of_workers(chosen, catalog)) if chosen.workers else []
    prepare_data_dir(chosen)
    wait_for_database(chosen)  # before listening: clients are better refused than kept waiting
    listener = listen_for_api(chosen)
    metrics_listener = listen_for_metrics(chosen)
    certificate = _load_certificate(chosen) if chosen.serves_tls else None
    migrate(chosen)
    _allow_many_connections()
    with tracing.exporting("pipelet-api", sample_ratio=chosen.trace_sample_ratio):
        asyncio.run(_serve(chosen, catalog, places, listener, metrics_listener, certificate))


async def _serve(
    chosen: Settings,
    catalog: Catalog,
    places: Sequence[Place],
    listener: socket.socket,
    metrics_listener: socket.socket | None,
    certificate: "ServerCertificate | None",
) -> None:
    async with open_store(chosen, writes=True) as store, open_http_clients(chosen) as http_clients:
        blobs = open_blobs(chosen)
        secret = await ensure_local_key(chosen, store)
        is_terminal = sys.stdout.isatty()
        code = await _new_login_code(chosen, store, is_terminal=is_terminal)
        await ensure_webhook_keys(store)
        api = build_api(
            chosen,
            store=store,
            blobs=blobs,
            catalog=catalog,
            http_clients=http_clients,
            diagnose=partial(_diagnose, chosen),
        )
        maintenance = build_maintenance(chosen, store=store, blobs=blobs)
        sender = build_sender(chosen, store=store, blobs=blobs, on_result=api.metrics.webhook_attempted)
        supervisor = build_supervisor(chosen, store=store, places=places)
        server = Server(
            api.app,
            on_ready=lambda: _print_banner(chosen, catalog, listener, secret, code, is_terminal=is_terminal),
            on_stop=api.close_streams,
            trusted_proxies=networks(chosen.trusted_proxies),
            tls=None if certificate is None else certificate.context,
        )
        loops = [
            run_periodically(INTERVAL_SECONDS, maintenance.requeue_expired, name="leases", expected=PipeletError),
            run_periodically(INTERVAL_SECONDS, maintenance.expire_overdue, name="deadlines", expected=PipeletError),
            run_periodically(_RETENTION_INTERVAL, maintenance.prune, name="retention", expected=PipeletError),
            run_periodically(_ACCOUNTS_INTERVAL, api.account_maintenance.run, name="accounts", expected=PipeletError),
            run_periodically(_ACCOUNTING_INTERVAL, Accounting(store, catalog).run, name="usage", expected=PipeletError),
            run_periodically(_STORAGE_INTERVAL, partial(sample_storage, store), name="storage", expected=PipeletError),
            run_periodically(_SENDER_RESTART_DELAY, sender.run, name="webhooks", expected=PipeletError),
            run_periodically(_REFUSALS_INTERVAL, api.refusals.flush, name="refusals", expected=PipeletError),
            run_periodically(_RETENTION_INTERVAL, api.refusals.prune, name="old refusals", expected=PipeletError),
        ]
        if certificate is not None:
            loops.append(
                run_periodically(_CERTIFICATE_INTERVAL, certificate.refresh, name="certificate", expected=PipeletError)
            )
        if metrics_listener is not None:
            loops.append(_serve_metrics(api.build_metrics_app(), metrics_listener))

        def stop() -> None:
            server.should_exit = True
            supervisor.stop()

        # What the start has made lives as long as the process. Garbage collections that visit it again and again took a
        # tenth of the CPU of a submit.
        gc.freeze()
        async with background(*loops):
            with on_stop_signals(stop):
                async with asyncio.TaskGroup() as group:
                    group.create_task(server.serve(sockets=[listener]))
                    group.create_task(supervisor.run())
        with contextlib.suppress(PipeletError):
            await api.refusals.flush()


def _load_certificate(chosen: Settings) -> "ServerCertificate":
    from pipelet.wiring.tls import ServerCertificate  # most services leave TLS to a proxy

    return ServerCertificate(chosen)


async def _diagnose(chosen: Settings) -> Diagnosis:
    from pipelet.cli.doctor.diagnose import diagnose  # few services are ever asked

    return await diagnose(chosen)


async def _serve_metrics(app: Starlette, listener: socket.socket) -> None:
    """Serve the metrics until cancelled. The API continues without them if they fail."""
    url = f"{local_url(*listener.getsockname()[:2])}/metrics"
    server = Server(
        app,
        on_ready=lambda: log.info("metrics.ready", url=url),
        on_stop=lambda: None,
        limits=Limits(max_connections=_MAX_METRICS_CONNECTIONS),
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except Exception:  # they are a side task
        log.exception("metrics.failed")
    finally:
        server.should_exit = True
        await asyncio.wait([serving])


def _allow_many_connections(
    limits: tuple[int, int] | None = None, set_limit: Callable[[int, tuple[int, int]], None] = resource.setrlimit
) -> None:
    """Raise the limit of open files: shells allow a thousand, which as many idle clients would use up."""
    now, most = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in _OPEN_FILES:
        wanted = number if most == resource.RLIM_INFINITY else min(number, most)
        if now == resource.RLIM_INFINITY or wanted <= now:
            return
        # macOS reports its hard limit as unlimited, and refuses more than kern.maxfilesperproc.
        with contextlib.suppress(ValueError, OSError):
            set_limit(resource.RLIMIT_NOFILE, (wanted, most))
            return


async def _new_login_code(chosen: Settings, store: Store, *, is_terminal: bool) -> str | None:
    """Return a code that signs in with the first key, if the output is a terminal: elsewhere it would be kept."""
    if not await has_key_for_keys(store):
        log.warning("keys.none_manages_keys", fix=f"Make one: {FIRST_KEY_COMMAND}")
    if not is_terminal:
        return None
    try:
        return await create_login_code(store, operator(), (await find_login_key(chosen, store)).id)
    except NotFound:
        return None


def _print_banner(
    chosen: Settings,
    catalog: Catalog,
    listener: socket.socket,
    secret: str | None,
    code: str | None,
    *,
    is_terminal: bool,
) -> None:
    here = local_url(*listener.getsockname()[:2], tls=chosen.serves_tls)
    log.info("api.ready", url=here, public_url=chosen.public_url or here, pid=os.getpid())
    with contextlib.suppress(BrokenPipeError):  # the reader of our output has closed it
        print(banner(chosen, catalog, here, secret, code, is_terminal=is_terminal), flush=True)
