"""The command line. Each command's module is imported when it runs: `pipelet --help` loads none of them."""

import sys
from collections.abc import Sequence

from cyclopts import App

from pipelet.cli.installation import check_installation
from pipelet.domain.errors import PipeletError, Unusable
from pipelet.system.text import visible

REFUSED, UNUSABLE, AWAY = 1, 3, 4

_ABOUT = """Self-hosted image generation behind a durable priority queue.

Begin with `pipelet serve`; then, in another terminal, `pipelet generate "a red apple"`."""

_EXIT_CODES = """Exit codes: 0 done; 1 the request failed, was refused or is unknown; 2 the command line is wrong; 3 the
installation or its settings are wrong; 4 the service cannot be reached, cannot work right now, or does not accept the
key; 130 Ctrl-C."""

_COMMANDS = {
    "serve": ("pipelet.cli.serve:serve", "Run the service: the API, and workers beside it."),
    "generate": ("pipelet.cli.generate:generate", "Draw pictures from a prompt, and save them."),
    "status": ("pipelet.cli.status:status", "Show how far a request is, or fetch its files."),
    "cancel": ("pipelet.cli.cancel:cancel", "Cancel a request that still waits."),
    "keys": ("pipelet.cli.keys:app", "Make, list and revoke API keys."),
    "queue": ("pipelet.cli.queue:app", "Look at the queue, and steer it."),
    "webhooks": ("pipelet.cli.webhooks:app", "See who was told that requests have ended, and tell them again."),
    "worker": ("pipelet.cli.worker:worker", "Run a worker alone, for another machine."),
    "fleet": ("pipelet.cli.fleet:fleet", "Keep workers on the machines of a Ray cluster, as many as the queue needs."),
    "migrate": ("pipelet.cli.migrate:migrate", "Bring the database to this version's schema."),
    "doctor": ("pipelet.cli.doctor:doctor", "Look the installation over, and say how to mend it."),
}


def main() -> None:
    try:
        check_installation()
        build(sys.argv[1:])()
    except PipeletError as error:
        print("pipelet:", visible(str(error), keep="\n"), file=sys.stderr)
        sys.exit(_exit_code(error))


def build(arguments: Sequence[str]) -> App:
    from pipelet import __version__  # once it is certain that this module is ours

    app = App(name="pipelet", version=__version__, help=_ABOUT, help_epilogue=_EXIT_CODES)
    is_overview = not arguments or arguments[0].startswith("-")
    for place, (name, (path, summary)) in enumerate(_COMMANDS.items()):
        # A summary takes the place of the command's own help, so it is given for the overview only.
        app.command(path, name=name, help=summary if is_overview else None, sort_key=place)
    return app


def _exit_code(error: PipeletError) -> int:
    if isinstance(error, Unusable):
        return UNUSABLE
    from pipelet.client import KeyNotAccepted, ServiceAway, Unreachable  # half of the commands never load a client

    if isinstance(error, Unreachable):
        print("Start it with `pipelet serve`, or say where it is: --url or PIPELET_URL.", file=sys.stderr)
    return AWAY if isinstance(error, ServiceAway | KeyNotAccepted) else REFUSED
