"""The OpenAPI document, held to the truth."""

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.strategies import just
from pydantic import BaseModel
from schemathesis.generation import GenerationMode

from pipelet.api.app import close_streams
from pipelet.api.fal.description import schemas
from pipelet.api.v1.routes import ROUTES
from pipelet.api.v1.routing import Route
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.uploads import CONTENT_TYPES
from pipelet.store.sqlite import SqliteStore, open_sqlite
from tests.api.service import WITH_BASE, Service, build
from tests.support.databases import empty_sqlite
from tests.support.images import png
from tests.support.jobs import APP, EDIT, FakeClock

OF_EDITS = [f"/fal/queue/{EDIT}", f"/fal/run/{EDIT}"]
OF_IDS = [f"/fal/fal-ai/z-image/turbo{rest}" for rest in ("", "/lora", "/image-to-image", "/image-to-image/lora")]
"""Ids of fal's, each followed by the one with `/lora`. The last two start from an image."""
BASE = "/fal/fal-ai/z-image/base"
"""One that takes a guidance; the demo model does not stand in for it."""
RUN = f"/fal/run/{APP}"
"""Not called here: what is accepted waits for a worker. It takes what a submit takes, and responds as a result does."""
UPLOADS = "/api/v1/uploads"
KEYED = [route for route in ROUTES if isinstance(route, Route) and not route.path.endswith("/stream")]
"""Routes of `/api/v1` for callers with a key; a stream would not end."""
OPENAI_IMAGES = ["/v1/images/generations", "/v1/images/edits"]
WORDS = {*("0", "0.0", "off", "f", "false", "n", "no"), *("1", "1.0", "on", "t", "true", "y", "yes")}
"""What Pydantic reads as a truth value."""
SECRET = "pk_" + "s" * 43
EXAMPLES = settings().max_examples * 8 // 100
"""Of each operation: see `HYPOTHESIS_PROFILE` in CONTRIBUTING.md."""


def has_null(body: object) -> bool:
    match body:
        case dict():
            return any(each is None or has_null(each) for each in body.values())
        case list():
            return any(map(has_null, body))
    return False


def has_word_for_flag(body: object) -> bool:
    """Whether `sync_mode` is a word or a number for a truth value, which is accepted, and which no schema says."""
    flag = body.get("sync_mode") if isinstance(body, dict) else None
    return isinstance(flag, str | int | float) and not isinstance(flag, bool) and str(flag).lower() in WORDS


def is_reversed(query: object) -> bool:
    """Whether the first day of a report is after the last one, which no schema can rule out."""
    return isinstance(query, dict) and str(query.get("from", "")) > str(query.get("to", "9"))


@dataclass(frozen=True)
class Described:
    """The operations of a document that is loaded once, and the store of the service that it describes."""

    operations: list[Any]
    store: SqliteStore

    def hold(self, operation: Any, mode: GenerationMode) -> None:
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            # Null counts as absent under any name, which no schema says together with "no other names".
            assume(mode is GenerationMode.POSITIVE or not (has_null(case.body) or has_word_for_flag(case.body)))
            assume(mode is GenerationMode.NEGATIVE or not is_reversed(case.query))
            asyncio.run(self.store.jobs.delete_idempotency_keys(1e12, 9))  # no schema can say that one was sent before
            if case.path == UPLOADS:  # nor that a user has many
                asyncio.run(self.store.uploads.delete_expired(1e12, 9))
            case.call_and_validate(headers={"Authorization": f"Bearer {SECRET}"})

        holds()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    folder = tmp_path_factory.mktemp("described")
    (folder / "pipelet.db").write_bytes(empty_sqlite())
    store = open_sqlite(folder / "pipelet.db")
    key = ApiKey(id="k", name="test", user="ada", hash=hash_secret(SECRET), created_at=0.0)
    asyncio.run(store.api_keys.add(key))
    for content_type in CONTENT_TYPES.values():
        schemathesis.openapi.media_type(content_type, just(png()))  # no schema can say what an image is
    blobs = DiskBlobStore(folder / "files", signing_key=b"k" * 32, url_ttl_seconds=7200)
    app = build(store, blobs, FakeClock(), WITH_BASE)
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    # Every call gets the right key: a wrong one that was to be refused would be replaced by it.
    document.config.generation.update(with_security_parameters=False)
    for path in (*OF_EDITS, *OF_IDS[2:]):  # their example holds an image, and what is accepted would wait for a worker
        body = document.raw_schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        del body["example"], body["schema"]["examples"]
    generations, edits = (
        document.raw_schema["paths"][path]["post"]["requestBody"]["content"] for path in OPENAI_IMAGES
    )
    del generations["application/json"]["example"]
    del edits["multipart/form-data"]  # forms have tests of their own, which take less time
    close_streams(app)  # what is accepted by mistake ends with an error, and does not wait for a worker
    for methods in document.raw_schema["paths"].values():
        for operation in methods.values():  # no schema can say what a cursor is
            operation["parameters"] = [each for each in operation.get("parameters", ()) if each["name"] != "after"]
    operations: Any = document.get_all_operations()
    yield Described([found.ok() for found in operations], store)
    store.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("number", range(5))
def test_as_described(described: Described, number: int, mode: GenerationMode) -> None:
    """What the document allows is accepted, what it forbids is refused, and every response is one it lists."""
    operations = [
        each
        for each in described.operations
        if each.path.startswith(("/fal/queue/", "/fal/run/")) and each.path not in (*OF_EDITS, RUN)
    ]
    described.hold(operations[number], mode)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("route", KEYED, ids=lambda route: f"{route.method} {route.path}")
def test_our_own_api_is_as_described(described: Described, route: Route, mode: GenerationMode) -> None:
    """Every route of `/api/v1` accepts and refuses what the document says, with a response that it lists."""
    path = route.path.replace(":path}", "}")
    [operation] = [each for each in described.operations if (each.method.upper(), each.path) == (route.method, path)]
    may_be_wrong = operation.body or operation.query or "{request_id}" in route.path
    if mode is GenerationMode.POSITIVE or may_be_wrong:  # any text may be the name of an app or a worker
        described.hold(operation, mode)


@pytest.mark.parametrize("path", OF_EDITS)
def test_an_edit_is_as_described(described: Described, path: str) -> None:
    """What the document forbids is refused. What it allows may be refused as well: its images have to be there."""
    [operation] = [each for each in described.operations if each.path == path]
    described.hold(operation, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("path", [*OF_IDS[::2], BASE])
def test_an_id_of_fals_is_as_described(described: Described, path: str) -> None:
    """What the document forbids is refused. What it allows is accepted, if it names no image that has to be there.

    An id with `/lora` takes the same.
    """
    [operation, with_lora] = [each for each in described.operations if each.path in (path, f"{path}/lora")]
    assert operation.definition.raw["requestBody"] == with_lora.definition.raw["requestBody"]
    described.hold(operation, GenerationMode.NEGATIVE)
    if path in (OF_IDS[0], BASE):
        described.hold(operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize("path", OPENAI_IMAGES)
def test_openais_images_are_as_described(described: Described, path: str) -> None:
    """What the document forbids is refused, in the envelope. What it allows would wait for a worker."""
    [operation] = [each for each in described.operations if each.path == path]
    described.hold(operation, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/{model}"])
def test_openais_models_are_as_described(described: Described, path: str) -> None:
    """Any name is found, or a 404."""
    [operation] = [each for each in described.operations if each.path == path]
    described.hold(operation, GenerationMode.POSITIVE)


@pytest.mark.asyncio(loop_scope="module")
async def test_routes(shared_service: Service) -> None:
    """The document lists the queue's routes, and each submit and run under its app's own path."""
    document = (await shared_service.client.get("/openapi.json")).json()

    read = "/fal/queue/{app}/requests/{request_id}"
    fal = {path: methods for path, methods in document["paths"].items() if path.startswith("/fal/")}
    assert {(path, *methods) for path, methods in fal.items()} == {
        (f"/fal/queue/{APP}", "post"),
        (f"/fal/queue/{EDIT}", "post"),
        (RUN, "post"),
        (f"/fal/run/{EDIT}", "post"),
        (f"{read}/status", "get"),
        (f"{read}/status/stream", "get"),
        (read, "get"),
        (f"{read}/cancel", "put"),
        *((path, "post") for path in OF_IDS),
    }
    assert document["components"]["securitySchemes"].keys() == {"bearer", "key"}


async def test_shapes_of_a_life(service: Service) -> None:
    """Every response in the life of a request has the described shape, without other fields."""
    requests = [await service.submit(), await service.submit(), await service.submit()]
    lease = await service.claim()
    await service.store.leases.report_progress(lease, Progress(3, 12))
    statuses = [await service.client.get(f"{service.status_path(each)}?logs=1") for each in requests]
    await service.succeed(lease)
    await service.fail_next()
    cancelled = await service.client.put(f"{service.result_path(requests[2])}/cancel")
    statuses += [await service.client.get(service.status_path(each)) for each in requests]
    results = [await service.client.get(service.result_path(each)) for each in requests]

    assert [response.status_code for response in statuses] == [202] * 3 + [200] * 3
    assert [response.status_code for response in results] == [200, 500, 499]
    described: list[tuple[httpx2.Response, type[BaseModel]]] = [
        *((response, schemas.Status) for response in statuses),
        (cancelled, schemas.CancelAccepted),
        (results[0], schemas.Result),
        *((response, schemas.Refusal) for response in results[1:]),
    ]
    for response, shape in described:
        shape.model_validate_json(response.content, strict=True, extra="forbid")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_takes_what_a_submit_takes(shared_service: Service) -> None:
    """Its description differs in the responses alone."""
    paths = (await shared_service.client.get("/openapi.json")).json()["paths"]
    for app in (APP, EDIT):
        submit, run = paths[f"/fal/queue/{app}"]["post"], paths[f"/fal/run/{app}"]["post"]
        for part in ("parameters", "requestBody", "security"):
            assert submit[part] == run[part]
        result = paths["/fal/queue/{app}/requests/{request_id}"]["get"]["responses"]["200"]["content"]
        assert result == run["responses"]["200"]["content"]


async def test_examples(service: Service) -> None:
    """The document's examples are requests that are accepted, that of an edit with an image inside."""
    document = (await service.client.get("/openapi.json")).json()
    generated, edited = (
        document["paths"][f"/fal/queue/{app}"]["post"]["requestBody"]["content"]["application/json"]["example"]
        for app in (APP, EDIT)
    )

    assert 200 == (await service.client.post(f"/fal/queue/{APP}", json=generated)).status_code
    assert 200 == (await service.client.post(f"/fal/queue/{EDIT}", json=edited)).status_code
    for path in OF_IDS:
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert 200 == (await service.client.post(path, json=example)).status_code


@pytest.mark.asyncio(loop_scope="module")
async def test_no_optional_parameter_is_filled_in(shared_service: Service) -> None:
    """Swagger UI fills in a parameter that has an example or a default, or is an object by its schema or by the first
    of its alternatives, and "Execute" sends it: one second of retention, for example."""
    filled = []
    for path, name, parameter in parameters((await shared_service.client.get("/openapi.json")).json()):
        schema = parameter.get("schema") or parameter["content"]["application/json"]["schema"]
        first = {**schema, **next(iter(schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or [{}]))}
        offered = {"default", "example", "examples"} & (parameter.keys() | first.keys())
        if not parameter["required"] and (offered or first.get("type") in ("object", "array")):
            filled.append((path, name))

    assert [] == filled


def parameters(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, name and description of every parameter."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield from ((path, each["name"], each) for each in operation["parameters"])


@pytest.mark.asyncio(loop_scope="module")
async def test_operations_are_described_for_their_callers(shared_service: Service) -> None:
    """Each has a text, and none is the docstring of the function that handles it."""
    document = (await shared_service.client.get("/openapi.json")).json()
    texts = [each["description"] for methods in document["paths"].values() for each in methods.values()]
    notes = {
        inspect.cleandoc(route.endpoint.__doc__ or "")
        for route in shared_service.app.routes
        if hasattr(route, "endpoint")
    }

    assert all(texts)
    assert set() == set(texts) & notes
