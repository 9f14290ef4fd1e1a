"""Models, as OpenAI's API names them: the apps here, and the names that the catalog gives them."""

from fnmatch import fnmatchcase
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import Problem, echo, json_response
from pipelet.domain.catalog import App, Catalog
from pipelet.services.accounts.access import Caller

MAX_NAME_CHARS = 256
_SHOWN_CHARS = 100
_OWNER = "pipelet"


async def list_models(request: Request, caller: Caller) -> Response:
    catalog = get_dependencies(request).catalog
    return json_response(200, {"object": "list", "data": [_document(name) for name in _listed(catalog)]})


async def show_model(request: Request, caller: Caller) -> Response:
    catalog, name = get_dependencies(request).catalog, request.path_params["model"]
    if _find(catalog, name, _served(catalog)) is None:
        raise _unknown(catalog, name)
    return json_response(200, _document(name))


def find_app(catalog: Catalog, name: str | None, task: str) -> App:
    """Return the app for a task that a name of a model stands for: its own name, that of an app with the same model,
    the model's name in the catalog or its source, or one of its `openai_models`. Without a name: the first app.

    Raises:
        Problem: 404.
    """
    apps = catalog.apps_for(task)
    found = _find(catalog, name, apps) if name else next(iter(apps), None)
    if found is None:
        raise _unknown(catalog, name or "")
    return found


def _find(catalog: Catalog, name: str, apps: list[App]) -> App | None:
    """The first of `apps` that the name stands for."""
    if app := next((app for app in apps if app.name == name), None):
        return app
    other = catalog.apps.get(name)
    models = {other.model} if other is not None else {catalog.entry_for(name)}
    if app := next((app for app in apps if app.model in models), None):
        return app
    if app := next((app for app in apps if name in app.openai_models), None):
        return app
    return next((app for app in apps if any(fnmatchcase(name, each) for each in app.openai_models)), None)


def _served(catalog: Catalog) -> list[App]:
    return [catalog.apps[name] for name in catalog.served_apps()]


def _listed(catalog: Catalog) -> list[str]:
    """Names of the apps, and of their `openai_models` those that are no patterns."""
    apps = _served(catalog)
    exact = (name for app in apps for name in app.openai_models if "*" not in name)
    return list(dict.fromkeys([*(app.name for app in apps), *exact]))


def _document(name: str) -> dict[str, Any]:
    """`created` is required, and not known."""
    return {"id": name, "object": "model", "created": 0, "owned_by": _OWNER}


def _unknown(catalog: Catalog, name: str) -> Problem:
    shown = str(echo(name[:_SHOWN_CHARS]))
    known = ", ".join(_listed(catalog))
    message = f"There is no model '{shown}' for this. Models: {known}." if name else f"No app here does this: {known}."
    return Problem(404, message, error_type="model_not_found")
