"""Models: what is listed, and the names that stand for an app."""

import pytest

from pipelet.api.openai.models import find_app
from pipelet.domain.catalog import EDIT as EDIT_TASK
from pipelet.domain.catalog import TEXT, Catalog
from pipelet.wiring.catalog_parser import parse
from tests.api.openai.calls import MODELS, PROMPT, called, error_of
from tests.api.service import CATALOG, Service
from tests.support.jobs import APP, EDIT


@pytest.fixture
def catalog() -> Catalog:
    """Two apps of text, one of edits, and names of each."""
    return parse(
        f"""
        [models.one]
        source = "owner/one"
        max_input_images = 1
        [models.two]
        source = "two"
        [apps.{APP}]
        task = "text-to-image"
        model = "one"
        openai_models = ["house", "gpt-image-*"]
        [apps.second]
        task = "text-to-image"
        model = "two"
        openai_models = ["gpt-image-2*"]
        [apps.{EDIT}]
        task = "image-edit"
        model = "one"
        openai_models = ["house", "gpt-image-*"]
        [apps.unserved]
        task = "text-to-image"
        """
    )


async def test_models_are_listed(service: Service) -> None:
    """The apps that take requests, and the names without a pattern."""
    response = await service.client.get(MODELS)
    body = response.json()

    assert ("list", [APP, "second", EDIT, "house"]) == (body["object"], [each["id"] for each in body["data"]])
    assert {("model", 0, "pipelet")} == {(each["object"], each["created"], each["owned_by"]) for each in body["data"]}


@pytest.mark.parametrize("name", [APP, EDIT, "house", "gpt-image-1", "owner/one", "one", "two"])
async def test_every_name_can_be_looked_up(service: Service, name: str) -> None:
    """Also one that is not listed, or has a slash in it."""
    response = await service.client.get(f"{MODELS}/{name}")

    assert (200, name) == (response.status_code, response.json()["id"])


@pytest.mark.parametrize("name", ["dall-e-3", "unserved", "any", "HOUSE", "*"])
async def test_an_unknown_model_is_a_404(service: Service, name: str) -> None:
    """With OpenAI's code, and the names that there are; the same where a generation names it."""
    for response in (
        await service.client.get(f"{MODELS}/{name}"),
        await service.client.post("/v1/images/generations", json=PROMPT | {"model": name}),
    ):
        error = error_of(response)
        assert (404, "model_not_found") == (response.status_code, error["code"])
        assert APP in error["message"]


async def test_models_need_a_key(service: Service) -> None:
    """As every route does."""
    response = await service.client.get(MODELS, headers={"Authorization": "Bearer x"})

    assert (401, "invalid_api_key") == (response.status_code, error_of(response)["code"])


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        (None, APP),
        ("", APP),
        (APP, APP),
        (EDIT, APP),
        ("house", APP),
        ("owner/one", APP),
        ("second", "second"),
        ("two", "second"),
        ("gpt-image-2.5", APP),
    ],
)
async def test_a_name_stands_for_an_app(service: Service, model: str | None, meant: str) -> None:
    """Its own; that of an app with the same model; the model's; or the first whose names have it."""
    call = await called(service, {"model": model})
    [item] = (await service.client.get("/api/v1/requests")).json()["items"]
    call.cancel()

    assert meant == item["app"]


async def test_a_model_that_only_generates_does_not_edit(service: Service) -> None:
    """No other model takes its place."""
    response = await service.client.post("/v1/images/edits", json=PROMPT | {"model": "two", "image": "data:,"})

    assert (404, "model_not_found") == (response.status_code, error_of(response)["code"])


@pytest.mark.parametrize(("task", "meant"), [(TEXT, APP), (EDIT_TASK, EDIT)])
def test_the_default_names_need_no_setting(task: str, meant: str) -> None:
    """The catalog that comes with the service knows OpenAI's names."""
    names = ("gpt-image-1", "chatgpt-image-latest", "dall-e-3")

    assert {meant} == {find_app(CATALOG, name, task).name for name in names}
