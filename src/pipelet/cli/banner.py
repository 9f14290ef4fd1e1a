"""What `pipelet serve` prints when it listens."""

import json
import shlex
from collections.abc import Sequence

from pipelet.cli.client_environment import client_environment
from pipelet.domain.catalog import TEXT, Catalog
from pipelet.services.examples.inputs import example_input
from pipelet.settings import Settings
from pipelet.wiring.catalog import models_of_workers

_FIELDS = ("prompt", "image_urls", "width", "height")
"""Fields of an example."""


def banner(
    chosen: Settings, catalog: Catalog, here: str, secret: str | None, code: str | None, *, is_terminal: bool
) -> str:
    """Return the text: where the service listens, what it serves, and a request to try.

    Args:
        here: URL of the service on this machine.
        secret: the local key, if there is one.
        code: signs a browser in.
        is_terminal: whether the text is printed on a terminal.
    """
    base_url = chosen.public_url or here
    # The key is shown on a terminal only: in a file or a journal it would stay.
    key = (secret if is_terminal else f"$(cat {shlex.quote(str(chosen.local_key_file))})") if secret else "KEY"
    make_key = (
        f"with a key; make one with: (umask 077; pipelet keys create local --admin --user local "
        f"> {chosen.local_key_file})"
    )
    page = chosen.login_url(code, here) if code else ""
    sign_in = f"Open the page (the link signs you in once, within five minutes): {page}\n" if page else ""
    models = [model.name for model in models_of_workers(chosen, catalog)] if chosen.workers else catalog.served_models()
    app, body = _example(catalog, models)
    text = (
        f"Pipelet listens on {here} (documentation: {base_url}/docs)\n{sign_in}"
        f"{_about_workers(catalog, models) if chosen.workers else ''}"
        f"Try it{f', {make_key}' if secret is None else ':'}\n\n"
        f'  curl {_trust(chosen)}{base_url}/fal/queue/{app} -H "Authorization: Bearer {key}" \\\n'
        f"    -d '{body}'\n"
    )
    if chosen.serves_tls:
        environment = client_environment(chosen, base_url, secret, is_terminal=is_terminal)
        text += f"\nFor fal's clients, in the shell that runs them:\n\n{environment}"
    return text


def _trust(chosen: Settings) -> str:
    """Return the option with which curl trusts the certificate that was made for the service."""
    files = chosen.tls_files
    return f"--cacert {shlex.quote(str(files.certificate))} " if chosen.serves_tls and files.is_own else ""


def _about_workers(catalog: Catalog, models: Sequence[str]) -> str:
    """Say which worker serves which app, if there are several."""
    if len(models) == 1:
        return ""
    served = "; ".join(f"{model} serves {', '.join(catalog.apps_of(model))}" for model in models)
    return f"Each of {len(models)} models has a worker of its own: {served}\n"


def _example(catalog: Catalog, models: Sequence[str]) -> tuple[str, str]:
    """Return an app of the models, one that needs no image if there is one, and a body for it."""
    apps = [catalog.apps[name] for model in models for name in catalog.apps_of(model)]
    app = next((each for each in apps if each.task == TEXT), apps[0])
    example = example_input(app, catalog.model_of(app))
    return app.name, json.dumps({name: example[name] for name in _FIELDS if name in example})
