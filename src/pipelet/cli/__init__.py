"""The command line. The module of a command is imported when it runs; `pipelet --help` imports none of them."""

import sys
from collections.abc import Sequence

from cyclopts import App

from pipelet.cli.doctor.installation import check_installation
from pipelet.domain.errors import OperationalError, PipeletError
from pipelet.system.text import visible

REJECTED, MISCONFIGURED, UNAVAILABLE = 1, 3, 4

_ABOUT = """Self-hosted image generation with a durable priority queue.

Start with `pipelet serve`; then, in another terminal, `pipelet generate "a red apple"`."""

_EXIT_CODES = """Exit codes: 0 done; 1 the request failed, was refused or is unknown; 2 the command line is wrong; 3 the
installation or its settings are wrong; 4 the service cannot be reached, is not ready, or does not accept the key; 130
Ctrl-C."""

_USER, _OPERATOR = "pipelet.cli.commands.user", "pipelet.cli.commands.operator"
_COMMANDS = {
    "serve": (f"{_OPERATOR}.serve:serve", "Run the service: the API and its workers."),
    "generate": (f"{_USER}.generate:generate", "Generate images from a prompt, and save them."),
    "status": (f"{_USER}.status:status", "Show the status of a request, or fetch its files."),
    "cancel": (f"{_USER}.cancel:cancel", "Cancel a request."),
    "requests": (f"{_USER}.requests:app", "List, show, delete, cancel and retry requests."),
    "keys": (f"{_OPERATOR}.keys:app", "Create, list, change, rotate and revoke API keys."),
    "login": (f"{_OPERATOR}.login:login", "Print a link that signs a browser in."),
    "audit": (f"{_OPERATOR}.audit:audit", "List who did what."),
    "queue": (f"{_OPERATOR}.queue:app", "Show the queue, and change its order."),
    "usage": (f"{_OPERATOR}.usage:usage", "Show what users, keys and apps have cost."),
    "webhooks": (f"{_OPERATOR}.webhooks:app", "List webhook deliveries, replay them, and rotate the signing keys."),
    "worker": (f"{_OPERATOR}.worker:worker", "Run one worker, such as on another machine."),
    "fleet": (f"{_OPERATOR}.fleet:fleet", "Scale workers over the machines of a Ray cluster."),
    "migrate": (f"{_OPERATOR}.migrate:migrate", "Create the database, or upgrade its schema."),
    "doctor": (f"{_OPERATOR}.doctor:doctor", "Check the installation and suggest fixes."),
}


def main() -> None:
    try:
        check_installation()
        build(sys.argv[1:])()
    except PipeletError as error:
        print("pipelet:", visible(str(error), keep="\n"), file=sys.stderr)
        sys.exit(_exit_code(error))


def build(arguments: Sequence[str]) -> App:
    from pipelet import __version__  # after the check that this module is ours

    app = App(name="pipelet", version=__version__, help=_ABOUT, help_epilogue=_EXIT_CODES)
    is_overview = not arguments or arguments[0].startswith("-")
    for place, (name, (path, summary)) in enumerate(_COMMANDS.items()):
        # A summary replaces the command's own help, so only the overview gets it.
        app.command(path, name=name, help=summary if is_overview else None, sort_key=place)
    return app


def _exit_code(error: PipeletError) -> int:
    if isinstance(error, OperationalError):
        return MISCONFIGURED
    # Half of the commands never import a client.
    from pipelet.client_types import AuthenticationError, ServiceUnavailable, Unreachable

    if isinstance(error, Unreachable):
        print("Start it with `pipelet serve`, or give its URL: --url or PIPELET_API_URL.", file=sys.stderr)
    return UNAVAILABLE if isinstance(error, ServiceUnavailable | AuthenticationError) else REJECTED
