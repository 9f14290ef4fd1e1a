"""The apps, with the schema of their input, from which a form can be made."""

from dataclasses import asdict
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.input.parse import get_input_schemas
from pipelet.api.input.schema import IMAGE_URL, IMAGE_URLS, InputModel
from pipelet.api.v1.apps.schemas import AppList
from pipelet.api.v1.dependencies import Services, get_services
from pipelet.api.v1.description import inline_definitions, operation
from pipelet.api.v1.lists import list_response
from pipelet.domain.catalog import EDIT, App
from pipelet.domain.ports.store import QueueCounts
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.predictions import Prediction
from pipelet.services.requests.submit import NewRequest

LIST = operation("List apps", "What takes requests, its input, and how busy it is.", answer=AppList)

_BASIC = ("prompt", IMAGE_URLS, "width", "height", "batch_size")
"""Fields that a form shows at first, in their order. The others follow as advanced ones, in that of the schema."""
_EMPTY = QueueCounts(queued=0, running=0, oldest_submitted_at=None)


async def list_apps(request: Request, caller: Caller) -> Response:
    services, schemas = get_services(request), get_input_schemas(request)
    counts, paused = await services.store.queue.counts(), await services.store.queue.paused()
    items = []
    for name, model in schemas.models.items():
        app, found = services.catalog.apps[name], counts.get(name, _EMPTY)
        served_model = services.catalog.model_of(app)
        prediction = await _predict_defaults(services, request, caller, app)
        items.append(
            {
                "name": name,
                "title": app.title or name,
                "task": app.task,
                "model": app.model,
                "about": served_model.about,
                "vocabulary": served_model.vocabulary,
                "input_schema": _form_schema(model, caller),
                "example": _example(model),
                "limits": _limits(app, caller),
                "paused": name in paused,
                "served": await services.estimates.is_served(name),
                "waiting": found.queued,
                "running": found.running,
                "seconds": prediction.seconds,
            }
        )
    return list_response(items, None)


async def _predict_defaults(services: Services, request: Request, caller: Caller, app: App) -> Prediction:
    fields: dict[str, Any] = {"prompt": "defaults"}
    if app.task == EDIT:
        fields[IMAGE_URLS] = ["data:,"]
    parsed = get_input_schemas(request).parse(app, fields, caller.key)
    return await services.predictions.predict(NewRequest(app=app, key=caller.key, input=parsed, base_url=""))


def _form_schema(model: InputModel, caller: Caller) -> dict[str, Any]:
    schema = inline_definitions(model.model_json_schema())
    schema.pop("examples", None)
    properties = schema["properties"]
    names = [*(name for name in _BASIC if name in properties), *(name for name in properties if name not in _BASIC)]
    for order, name in enumerate(names):
        properties[name] = properties[name] | {"order": order, "advanced": name not in _BASIC}
    schema["properties"] = {name: properties[name] for name in names if name != IMAGE_URL}
    for name, most in (("priority", caller.key.max_priority), ("batch_size", caller.key.max_batch)):
        if most is not None:
            _lower_maximum(properties[name], most)
    return schema


def _lower_maximum(field: dict[str, Any], most: int) -> None:
    """Put the ceiling of a key into the schema of a field."""
    for shape in [field, *field.get("anyOf", ())]:
        if "maximum" in shape:
            shape["maximum"] = min(shape["maximum"], most)


def _example(model: InputModel) -> Any:
    return model.model_json_schema()["examples"][0]


def _limits(app: App, caller: Caller) -> dict[str, Any]:
    key = caller.key
    of_key = {"max_priority": key.max_priority, "max_queued_images": key.max_queued_images}
    return asdict(app.limits) | {name: value for name, value in of_key.items() if value is not None}
