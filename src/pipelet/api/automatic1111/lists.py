"""What clients ask before they generate: options, checkpoints, and lists of one entry or none."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic_core import to_json

from pipelet.api.automatic1111.input import SAMPLER, checkpoints
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import json_response
from pipelet.services.accounts.access import Caller

_SAMPLERS = [{"name": SAMPLER, "aliases": [], "options": {}}]
_SCHEDULERS = [
    {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1, "need_inner_model": False}
]
_UPSCALERS = [{"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 4}]
"""`None` is the WebUI's name for leaving an image as it is."""


async def show_options(request: Request, caller: Caller) -> Response:
    found = next(iter(checkpoints(get_dependencies(request).catalog)), None)
    return json_response(200, {"sd_model_checkpoint": found, "samples_format": "png", "sd_vae": "Automatic"})


async def set_options(request: Request, caller: Caller) -> Response:
    """Change nothing: an option here would be one of all users. A call names its checkpoint in `override_settings`."""
    return json_response(200, {})


async def list_checkpoints(request: Request, caller: Caller) -> Response:
    return _list([_checkpoint(name) for name in checkpoints(get_dependencies(request).catalog)])


async def list_samplers(request: Request, caller: Caller) -> Response:
    return _list(_SAMPLERS)


async def list_schedulers(request: Request, caller: Caller) -> Response:
    return _list(_SCHEDULERS)


async def list_upscalers(request: Request, caller: Caller) -> Response:
    return _list(_UPSCALERS)


async def list_nothing(request: Request, caller: Caller) -> Response:
    return _list([])


def _checkpoint(name: str) -> dict[str, Any]:
    return {"title": name, "model_name": name, "hash": None, "sha256": None, "filename": name, "config": None}


def _list(items: list[dict[str, Any]]) -> Response:
    return Response(to_json(items), media_type="application/json")
