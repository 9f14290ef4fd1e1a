"""`pipelet serve`: the API and the workers beside it, started and stopped together."""

import asyncio
import contextlib
import errno
import os
import resource
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from pipelet import logs, settings, wiring
from pipelet.api.app import end_streams
from pipelet.api.metrics_app import build_metrics_app
from pipelet.cli.metrics_server import listen_for_metrics, serve_metrics
from pipelet.cli.signals import on_stop_signals
from pipelet.cli.waiting import wait_for_database
from pipelet.domain.addresses import networks
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import Unusable
from pipelet.http_server.server import Server
from pipelet.settings import Settings
from pipelet.wiring.data_dir import prepare_data_dir
from pipelet.worker.every import every
from pipelet.worker.housekeeping import TURN_SECONDS

log = structlog.get_logger()

_OPEN_FILES = (65_536, 61_440, 24_576, 10_240)
"""How many a process may open: the first number that the system grants."""


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    workers: int | None = None,
    model: str | None = None,
    app: str | None = None,
    device: str | None = None,
) -> None:
    """Run the service: the API and, beside it, one worker for each GPU, or one on the CPU.

    Everything it keeps lies in the data directory. The first start makes a key for the user `local` and stores it
    there, so that `pipelet generate` on this machine needs no flags; on PostgreSQL, `pipelet keys create` makes the
    first. Stop it with Ctrl-C: running requests are finished first, within a grace time.

    Parameters
    ----------
    host
        Address to listen on; 0.0.0.0 for every interface. [default: 127.0.0.1]
    port
        Port to listen on; 0 takes a free one. [default: 8000]
    data_dir
        Where the database, the files and the first key lie. [default: .pipelet]
    workers
        Number of workers; 0 runs the API alone, -1 one worker for each GPU or one on the CPU. [default: -1]
    model
        What to draw with: a name in the catalog, a hub id or a folder. [default: the model in the box]
    app
        Needed only if the apps of the catalog use several models: load the model of this app, and serve every app
        that uses it. [default: the only model]
    device
        Where the model runs: auto, cpu, cuda, cuda:1, mps. [default: auto]
    """
    chosen = settings.load(
        host=host, port=port, data_dir=data_dir, workers=workers, model=model, app=app, device=device
    )
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    wiring.fetch_description(chosen)
    catalog = wiring.read_catalog(chosen)
    wiring.log_model(chosen, catalog)
    if chosen.workers:
        wiring.model_of_workers(chosen, catalog)  # now, where the operator sees it, not in a worker that dies of it
    prepare_data_dir(chosen)
    wait_for_database(chosen)  # before anybody can connect: to be refused at once is better than to wait with us
    listener = _listen(chosen)
    metrics_listener = listen_for_metrics(chosen)
    wiring.migrate(chosen)
    _allow_many_connections()
    asyncio.run(_serve(chosen, catalog, listener, metrics_listener))


async def _serve(
    chosen: Settings, catalog: Catalog, listener: socket.socket, metrics_listener: socket.socket | None
) -> None:
    async with wiring.open_store(chosen, writes=True) as store, wiring.open_fetchers(chosen) as fetchers:
        blobs = wiring.open_blobs(chosen)
        secret = await wiring.ensure_local_key(chosen, store)
        await wiring.ensure_webhook_keys(store)
        api = wiring.build_api(chosen, store=store, blobs=blobs, catalog=catalog, fetchers=fetchers)
        housekeeping = wiring.build_housekeeping(chosen, store=store, blobs=blobs)
        sender = wiring.build_sender(chosen, store=store, blobs=blobs, tell=api.state.parts.metrics.webhook_tried)
        crew = wiring.build_crew(chosen, store=store)
        server = Server(
            api,
            on_ready=lambda: _greet(chosen, listener, secret),
            on_stop=lambda: end_streams(api),
            trusted_proxies=networks(chosen.trusted_proxies),
        )
        beside = [
            asyncio.create_task(every(TURN_SECONDS, housekeeping.take_back_expired, name="leases")),
            asyncio.create_task(every(TURN_SECONDS, housekeeping.end_overdue, name="deadlines")),
            asyncio.create_task(every(60.0, housekeeping.delete_old, name="retention")),
            asyncio.create_task(every(1.0, sender.run, name="webhooks")),
        ]
        if metrics_listener is not None:
            metrics_app = build_metrics_app(api.state.parts.metrics)
            beside.append(asyncio.create_task(serve_metrics(metrics_app, metrics_listener)))

        def stop() -> None:
            server.should_exit = True
            crew.stop()

        with on_stop_signals(stop):
            await asyncio.gather(server.serve(sockets=[listener]), crew.run())
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def _allow_many_connections(
    limits: tuple[int, int] | None = None, set_limit: Callable[[int, tuple[int, int]], None] = resource.setrlimit
) -> None:
    """Shells allow a thousand open files, which as many idle clients would use up."""
    now, most = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in _OPEN_FILES:
        wanted = number if most == resource.RLIM_INFINITY else min(number, most)
        if now == resource.RLIM_INFINITY or wanted <= now:
            return
        # macOS calls its hard limit unlimited, and refuses what is beyond kern.maxfilesperproc.
        with contextlib.suppress(ValueError, OSError):
            set_limit(resource.RLIMIT_NOFILE, (wanted, most))
            return


def _listen(chosen: Settings) -> socket.socket:
    """Taken before anything else starts, so that a second service on this port stops here and touches nothing."""
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    # With its protocol named, or asyncio leaves Nagle's algorithm on, and kept-alive answers wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((chosen.host, chosen.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            other = chosen.port + 1 if chosen.port < 65_535 else 8000
            taken = f"Port {chosen.port} is taken, perhaps by another Pipelet."
            reason = f"{taken} Stop that, or choose another: --port {other}."
        else:
            reason = f"Listening on {chosen.host}:{chosen.port} failed: {error.strerror}. Choose --host and --port."
        raise Unusable(reason) from error
    return listener


def _greet(chosen: Settings, listener: socket.socket, secret: str | None) -> None:
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    here = f"http://{reachable}:{port}"
    base_url = chosen.public_url or here
    log.info("api.ready", url=here, public_url=base_url, pid=os.getpid())
    make_key = (
        f"with a key, which is made by: (umask 077; pipelet keys create local --user local > {chosen.local_key_file})"
    )
    # Only on a terminal: where output goes to a file or a journal, the key would stay there.
    key = (secret if sys.stdout.isatty() else f"$(cat {shlex.quote(str(chosen.local_key_file))})") if secret else "KEY"
    text = (
        f"Pipelet listens on {here} (documentation: {base_url}/docs)\n"
        f"Try it{f', {make_key}' if secret is None else ':'}\n\n"
        f'  curl {base_url}/fal/queue/z-image-text-to-image -H "Authorization: Bearer {key}" \\\n'
        '    -d \'{"prompt": "a red apple on a light blue background", "width": 256, "height": 256}\'\n'
    )
    with contextlib.suppress(BrokenPipeError):  # whoever read our output has seen enough
        print(text, flush=True)
